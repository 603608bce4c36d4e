/* The only code that makes and ends interpreters. */
#include "worker.h"

/* Daemon threads and fork would outlive, or copy, an interpreter that knows nothing of it. */
static const PyInterpreterConfig config = {
    .use_main_obmalloc = 0,
    .allow_fork = 0,
    .allow_exec = 0,
    .allow_threads = 1,
    .allow_daemon_threads = 0,
    .check_multi_interp_extensions = 1,
    .gil = PyInterpreterConfig_OWN_GIL,
};

/* Writes the text of the exception that is set, and clears it. Context: own GIL. */
static void
put_error(char *reason, size_t size)
{
    PyObject *error = PyErr_GetRaisedException();
    PyObject *text = PyObject_Str(error);
    const char *utf8 = text == NULL ? NULL : PyUnicode_AsUTF8(text);
    snprintf(reason, size, "%s: %s", Py_TYPE(error)->tp_name, utf8 == NULL ? "" : utf8);
    Py_XDECREF(text);
    Py_DECREF(error);
    PyErr_Clear();
}

/* The worker whose interpreter this thread has made; the thread enters the owner's, too. */
static _Thread_local struct ix_worker *of_thread;

struct ix_worker *
ix_worker_here(void)
{
    struct ix_worker *worker = of_thread;
    if (worker == NULL || worker->own_ts == NULL
        || PyThreadState_GetInterpreter(worker->own_ts) != PyInterpreterState_Get())
        return NULL;
    return worker;
}

/* Interpreters that were ended in this process, by any owner. */
static _Atomic uint64_t ended;

uint64_t
ix_interpreter_count_ended(void)
{
    return atomic_load(&ended);
}

/* Calls a function of the module that takes nothing. Context: own GIL. */
static void
call_and_report(PyObject *module, const char *name, const char *report)
{
    PyObject *result = PyObject_CallMethod(module, name, NULL);
    if (result == NULL)
        PyErr_FormatUnraisable("%s", report);
    Py_XDECREF(result);
}

/* Joins the threads that `threading` knows, if it has been loaded. Context: own GIL. */
static void
join_threads(void)
{
    static const char report[] = "Exception ignored on threading shutdown";
    PyObject *name = PyUnicode_FromString("threading");
    PyObject *threading = name == NULL ? NULL : PyImport_GetModule(name);
    Py_XDECREF(name);
    if (threading != NULL)
        call_and_report(threading, "_shutdown", report);
    /* Each further call would call these once more. */
    PyObject *hooks = threading == NULL ? NULL
                                        : PyObject_GetAttrString(threading, "_threading_atexits");
    if (hooks != NULL)
        call_and_report(hooks, "clear", report);
    PyErr_Clear();
    Py_XDECREF(hooks);
    Py_XDECREF(threading);
}

/* Does what Py_EndInterpreter() begins with, in its order. All of it is the user's, and may never end: so it
 * happens while the interpreter is one of those that the end of the process stops. What an exit callback has
 * started is joined, too. When CPython does the same once more, nothing is left of it. Context: own GIL. */
static void
finish_user_code(void)
{
    join_threads();
    PyObject *atexit = PyImport_ImportModule("atexit");
    if (atexit == NULL) {
        PyErr_FormatUnraisable("Exception ignored as exit callbacks were to run");
        return;
    }
    call_and_report(atexit, "_run_exitfuncs", "Exception ignored as exit callbacks ran");
    Py_DECREF(atexit);
    join_threads();
}

/* What views of others still look at stays where it is: its objects are left to leak, and nobody will want
 * them back. Context: own GIL; afterwards none. */
static void
end(struct ix_worker *self)
{
    struct ix_releases *releases = self->inside.codec.releases;
    if (releases != NULL) {
        ix_releases_acquire(releases);
        ix_releases_drain(releases);
    }
    ix_inside_clear(&self->inside);
    finish_user_code();
    ix_runtime_strike(&self->resident);
    Py_EndInterpreter(self->own_ts);
    ix_runtime_after_end();
    atomic_fetch_add(&ended, 1);
    of_thread = NULL;
    self->own_ts = NULL;
    if (releases != NULL) {
        atomic_store(&releases->closed, true);
        ix_releases_release(releases);
    }
}

/* Sets up what the new interpreter needs. Context: own GIL. Returns false with a reason. */
static bool
furnish(struct ix_worker *self, const struct ix_buffer *path, const struct ix_buffer *world,
        char *reason, size_t size)
{
    if (ix_inside_init(&self->inside, path, world) < 0) {
        put_error(reason, size);
        return false;
    }
    self->access = ix_access_new(self);
    if (self->access == NULL)
        snprintf(reason, size, "no memory");
    return self->access != NULL;
}

/* Context: no GIL, before and after. Returns false with a reason. */
static bool
start(struct ix_worker *self, const struct ix_buffer *path, const struct ix_buffer *world,
      char *reason, size_t size)
{
    ix_runtime_before_start();
    PyStatus status = Py_NewInterpreterFromConfig(&self->own_ts, &config);
    if (PyStatus_Exception(status)) {
        ix_runtime_enlist(&self->resident, NULL, NULL);
        self->own_ts = NULL;
        snprintf(reason, size, "%s", status.err_msg == NULL ? "unknown error" : status.err_msg);
        return false;
    }
    ix_runtime_enlist(&self->resident, PyThreadState_GetInterpreter(self->own_ts),
                      PyThreadState_GetInterpreter(self->owner_ts));
    if (!furnish(self, path, world, reason, size)) {
        end(self);
        return false;
    }
    of_thread = self;
    self->own_ts = PyEval_SaveThread();
    return true;
}

bool
ix_interpreter_open(struct ix_worker *self, const struct ix_buffer *path,
                    const struct ix_buffer *world, char *reason, size_t size)
{
    self->owner_ts = PyEval_SaveThread();
    bool opened = start(self, path, world, reason, size);
    PyEval_RestoreThread(self->owner_ts);
    return opened;
}

void
ix_interpreter_close(struct ix_worker *self)
{
    self->owner_ts = PyEval_SaveThread();
    ix_access_close(self->access); /* whoever is inside needs the worker's GIL */
    self->access = NULL;
    PyEval_RestoreThread(self->own_ts);
    end(self);
    PyEval_RestoreThread(self->owner_ts);
}
