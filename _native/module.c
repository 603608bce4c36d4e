/* interp_executor._native: multi-phase initialisation, one state per interpreter. */
#include "worker.h"

PyDoc_STRVAR(configure_doc, "configure($module, helpers, /)\n--\n\n"
"Set up the owner's side: helpers is a namespace with what the C core calls in Python. The\n"
"first call counts; an interpreter that only works for another never makes it.");

int
ix_traverse_type(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

struct binding {
    const char *name;
    size_t offset;
};

#define BIND(name) {#name, offsetof(struct ix_module, name)}

static const struct binding bindings[] = {
    BIND(encode_callable),   BIND(decode_exception),    BIND(broken_error),    BIND(failed_error),
    BIND(undecodable_error), BIND(log_callback),        BIND(new_condition),   BIND(transfer_error),
    BIND(cancelled_error),   BIND(invalid_state_error), BIND(abandoned_error), BIND(run_bytecode),
};

static PyObject **
field(struct ix_module *state, size_t i)
{
    return (PyObject **)((char *)state + bindings[i].offset);
}

static int
bind_all(struct ix_module *state, PyObject *helpers)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(bindings); i++) {
        *field(state, i) = PyObject_GetAttrString(helpers, bindings[i].name);
        if (*field(state, i) == NULL)
            return -1;
    }
    return ix_codec_init(&state->codec, helpers);
}

static PyObject *
configure(PyObject *module, PyObject *helpers)
{
    struct ix_module *state = PyModule_GetState(module);
    if (state->future_type == NULL) {
        PyObject *base = PyObject_GetAttrString(helpers, "future_base");
        if (base == NULL || bind_all(state, helpers) < 0) {
            Py_XDECREF(base);
            return NULL;
        }
        state->future_type = ix_future_type_new(module, base);
        Py_DECREF(base);
        if (state->future_type == NULL)
            return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(set_main_by_value_doc, "set_main_by_value($module, flag, /)\n--\n\n"
"Whether pickles that refer to __main__ go to the fallback: no worker can import it.");

static PyObject *
set_main_by_value(PyObject *module, PyObject *flag)
{
    struct ix_module *state = PyModule_GetState(module);
    int truth = PyObject_IsTrue(flag);
    if (truth < 0)
        return NULL;
    state->codec.main_by_value = truth;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(forget_callables_doc, "forget_callables($module, /)\n--\n\n"
"Encode callables anew from now on.");

static PyObject *
forget_callables(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    PyDict_Clear(((struct ix_module *)PyModule_GetState(module))->callables);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(begin_child_doc, "begin_child($module, /)\n--\n\n"
"In a forked child: renew the locks that threads of the parent may have held.");

static PyObject *
begin_child(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    ix_releases_begin_child(((struct ix_module *)PyModule_GetState(module))->releases);
    ix_output_begin_child();
    Py_RETURN_NONE;
}

PyDoc_STRVAR(is_main_interpreter_doc, "is_main_interpreter($module, /)\n--\n\n"
"Whether the caller runs in the process's main interpreter.");

static PyObject *
is_main_interpreter(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(PyInterpreterState_Get() == PyInterpreterState_Main());
}

PyDoc_STRVAR(knows_runtime_doc, "knows_runtime($module, /)\n--\n\n"
"Whether forks, and exits with stuck tasks, can be made safe on this version of CPython.");

static PyObject *
knows_runtime(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(ix_runtime_is_known());
}

/* How long the end of the process waits for interpreters to stop: many switch intervals. */
#define HIDING_NS 250000000

PyDoc_STRVAR(interpreters_ended_doc, "interpreters_ended($module, /)\n--\n\n"
"How many interpreters of workers have ended in this process so far, whoever owned them.");

static PyObject *
interpreters_ended(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromUnsignedLongLong(ix_interpreter_count_ended());
}

PyDoc_STRVAR(hide_interpreters_doc, "hide_interpreters($module, /)\n--\n\n"
"Stop what workers still run, and make the runtime forget all interpreters but the main one.\n\n"
"For the end of the process, and for good. Returns whether it could.");

static PyObject *
hide_interpreters(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(ix_runtime_hide(HIDING_NS));
}

PyDoc_STRVAR(has_interpreters_doc, "has_interpreters($module, /)\n--\n\n"
"Whether any worker's interpreter lives, in this process and whoever owns it.");

static PyObject *
has_interpreters(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(ix_runtime_has_residents());
}

PyDoc_STRVAR(exit_soon_doc, "exit_soon($module, code, /)\n--\n\n"
"End the process after a second, come what may: where hide_interpreters() could do nothing.\n\n"
"Returns whether it will.");

static PyObject *
exit_soon(PyObject *Py_UNUSED(module), PyObject *argument)
{
    int code = PyLong_AsInt(argument);
    if (code == -1 && PyErr_Occurred())
        return NULL;
    return PyBool_FromLong(ix_runtime_exit_soon(code));
}

PyDoc_STRVAR(end_by_interrupt_doc, "end_by_interrupt($module, /)\n--\n\n"
"Let the process end, when all else is done, as one that SIGINT has killed.\n\n"
"Returns whether it will.");

static PyObject *
end_by_interrupt(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(ix_runtime_end_by_interrupt());
}

PyDoc_STRVAR(renew_context_doc, "renew_context($module, present, /)\n--\n\n"
"Have the calling thread leave the context that the last call returned, unless that is None, and enter a new\n"
"one, which is returned: Python alone can do so for the length of a call.");

static PyObject *
renew_context(PyObject *Py_UNUSED(module), PyObject *present)
{
    PyObject *context = PyContext_New();
    if (context == NULL || (present != Py_None && PyContext_Exit(present) < 0)
        || PyContext_Enter(context) < 0) {
        Py_XDECREF(context);
        return NULL;
    }
    return context;
}

PyDoc_STRVAR(encode_call_doc, "encode_call($module, /, *args)\n--\n\n"
"Encode the arguments of a call for another process. Returns the bytes, descriptions of what they refer to\n"
"(None: something both sides would write to, which must not go), and the large contents of that.");

PyDoc_STRVAR(tell_owner_doc, "tell_owner($module, data, /)\n--\n\n"
"In a task: have the owner's pool deliver what the worker wrote; return whether that was possible.");

PyDoc_STRVAR(report_unraisable_doc, "report_unraisable($module, error, where, /)\n--\n\n"
"Tell sys.unraisablehook of an exception that nobody can catch.");

PyDoc_STRVAR(unraisablehook_doc, "unraisablehook($module, unraisable, /)\n--\n\n"
"sys.unraisablehook of workers: it has a task's interrupt sent again that a finalizer has swallowed.");

PyDoc_STRVAR(write_whole_doc, "write_whole($module, fd, data, /)\n--\n\n"
"Write all of data to a file descriptor, apart from what other interpreters write by this function.");

PyDoc_STRVAR(send_whole_doc, "send_whole($module, socket, data, /)\n--\n\n"
"Send all of data to a socket, which is named by its descriptor, before any handler of signals may run and raise.");

static PyMethodDef module_methods[] = {
    {"knows_runtime", knows_runtime, METH_NOARGS, knows_runtime_doc},
    {"interpreters_ended", interpreters_ended, METH_NOARGS, interpreters_ended_doc},
    {"hide_interpreters", hide_interpreters, METH_NOARGS, hide_interpreters_doc},
    {"has_interpreters", has_interpreters, METH_NOARGS, has_interpreters_doc},
    {"exit_soon", exit_soon, METH_O, exit_soon_doc},
    {"end_by_interrupt", end_by_interrupt, METH_NOARGS, end_by_interrupt_doc},
    {"is_main_interpreter", is_main_interpreter, METH_NOARGS, is_main_interpreter_doc},
    {"begin_child", begin_child, METH_NOARGS, begin_child_doc},
    {"renew_context", renew_context, METH_O, renew_context_doc},
    {"configure", configure, METH_O, configure_doc},
    {"forget_callables", forget_callables, METH_NOARGS, forget_callables_doc},
    {"set_main_by_value", set_main_by_value, METH_O, set_main_by_value_doc},
    {"encode_call", (PyCFunction)(void (*)(void))ix_remote_encode_call, METH_FASTCALL,
     encode_call_doc},
    {"tell_owner", ix_output_tell_owner, METH_O, tell_owner_doc},
    {"report_unraisable", ix_output_report_unraisable, METH_VARARGS, report_unraisable_doc},
    {"unraisablehook", ix_interrupt_unraisable, METH_O, unraisablehook_doc},
    {"write_whole", ix_output_write_whole, METH_VARARGS, write_whole_doc},
    {"send_whole", ix_output_send_whole, METH_VARARGS, send_whole_doc},
    {NULL, NULL, 0, NULL},
};

static int
add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type)
{
    *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *type == NULL ? -1 : PyModule_AddType(module, *type);
}

static int
module_exec(PyObject *module)
{
    struct ix_module *state = PyModule_GetState(module);
    ix_runtime_init();
    state->callables = PyDict_New();
    state->releases = ix_releases_here();
    /* Callable, ForeignBuffer and Future are not for Python to name. */
    state->callable_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &ix_callable_spec,
                                                                    NULL);
    state->foreign_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &ix_foreign_spec, NULL);
    if (state->callables == NULL || state->callable_type == NULL || state->releases == NULL
        || state->foreign_type == NULL || add_type(module, &ix_shared_spec, &state->shared_type) < 0
        || add_type(module, &ix_outbox_spec, &state->outbox_type) < 0
        || add_type(module, &ix_pool_spec, &state->pool_type) < 0
        || add_type(module, &ix_executor_spec, &state->executor_type) < 0
        || add_type(module, &ix_map_spec, &state->map_type) < 0
        || add_type(module, &ix_worker_spec, &state->worker_type) < 0
        || add_type(module, &ix_child_spec, &state->child_type) < 0
        || add_type(module, &ix_alarm_spec, &state->alarm_type) < 0
        || add_type(module, &ix_run_spec, &state->run_type) < 0)
        return -1;
    return 0;
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct ix_module *state = PyModule_GetState(module);
    Py_VISIT(state->callable_type);
    Py_VISIT(state->outbox_type);
    Py_VISIT(state->pool_type);
    Py_VISIT(state->executor_type);
    Py_VISIT(state->map_type);
    Py_VISIT(state->worker_type);
    Py_VISIT(state->child_type);
    Py_VISIT(state->alarm_type);
    Py_VISIT(state->run_type);
    Py_VISIT(state->foreign_type);
    Py_VISIT(state->shared_type);
    Py_VISIT(state->future_type);
    Py_VISIT(state->callables);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(bindings); i++)
        Py_VISIT(*field(state, i));
    return ix_codec_traverse(&state->codec, visit, arg);
}

static int
module_clear(PyObject *module)
{
    struct ix_module *state = PyModule_GetState(module);
    Py_CLEAR(state->callable_type);
    Py_CLEAR(state->outbox_type);
    Py_CLEAR(state->pool_type);
    Py_CLEAR(state->executor_type);
    Py_CLEAR(state->map_type);
    Py_CLEAR(state->worker_type);
    Py_CLEAR(state->child_type);
    Py_CLEAR(state->alarm_type);
    Py_CLEAR(state->run_type);
    Py_CLEAR(state->foreign_type);
    Py_CLEAR(state->shared_type);
    Py_CLEAR(state->future_type);
    Py_CLEAR(state->callables);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(bindings); i++)
        Py_CLEAR(*field(state, i));
    ix_codec_clear(&state->codec);
    return 0;
}

static void
module_free(void *module)
{
    module_clear(module);
    ix_releases_release(((struct ix_module *)PyModule_GetState(module))->releases);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
    {Py_mod_gil, Py_MOD_GIL_USED},
    {0, NULL},
};

PyModuleDef ix_module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "interp_executor._native",
    .m_doc = "The C core of interp_executor: queue, tasks, futures and interpreters.",
    .m_size = sizeof(struct ix_module),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC
PyInit__native(void)
{
    return PyModuleDef_Init(&ix_module_def);
}
