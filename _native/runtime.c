#include "runtime.h"

#include "park.h"

#include <Python.h>

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

/* How the offsets for debuggers begin, at the very start of _PyRuntime, on every supported version. */
struct offsets {
    char cookie[8];
    uint64_t version; /* as PY_VERSION_HEX */
    uint64_t free_threaded;
    struct {
        uint64_t size, finalizing, interpreters_head;
    } runtime;
};

typedef _Atomic(PyInterpreterState *) list_head;

_Atomic uint32_t ix_runtime_forks;
static list_head *head; /* NULL: not known */
static PyInterpreterState *main_interpreter;
static _Atomic bool hidden;

/* The minor versions on which tests/isolated/test_fork.py and test_stuck.py have passed. */
static bool
is_tested(unsigned long version)
{
    unsigned long minor = version >> 16;
    return minor == 0x030D || minor == 0x030E || minor == 0x030F;
}

/* Whether the main interpreter is where the public API says the list ends. */
static bool
main_is_last(void)
{
    PyInterpreterState *last = PyInterpreterState_Head();
    for (PyInterpreterState *next = last; next != NULL; next = PyInterpreterState_Next(next))
        last = next;
    return last == main_interpreter;
}

/* Returns the list's head in the runtime, or NULL if it cannot be trusted to be that. */
static list_head *
find_head(char *runtime)
{
    const struct offsets *offsets = (const struct offsets *)runtime;
    if (runtime == NULL || memcmp(offsets->cookie, "xdebugpy", sizeof offsets->cookie) != 0
        || offsets->version != Py_Version || !is_tested(Py_Version))
        return NULL;
    uint64_t at = offsets->runtime.interpreters_head;
    if (at % _Alignof(list_head) != 0 || at > offsets->runtime.size - sizeof(list_head))
        return NULL;
    list_head *found = (list_head *)(runtime + at);
    /* Another thread may be making an interpreter: what is found is the head before or after. */
    PyInterpreterState *before = PyInterpreterState_Head();
    PyInterpreterState *first = atomic_load(found);
    bool agrees = first == before || first == PyInterpreterState_Head();
    return agrees && main_is_last() ? found : NULL;
}

static bool
leave_main_alone(void)
{
    if (head != NULL)
        atomic_store(head, main_interpreter);
    return head != NULL;
}

/* Context: the only thread of a new process, inside fork(); CPython's own part comes afterwards. */
static void
begin_child(void)
{
    atomic_fetch_add(&ix_runtime_forks, 1);
    ix_park_begin_child();
    leave_main_alone();
}

static void
init(void)
{
    main_interpreter = PyInterpreterState_Main();
    head = find_head(dlsym(RTLD_DEFAULT, "_PyRuntime"));
    if (pthread_atfork(NULL, NULL, begin_child) != 0)
        head = NULL; /* no memory: as on a version that is not known */
}

void
ix_runtime_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init);
}

bool
ix_runtime_is_known(void)
{
    return head != NULL;
}

bool
ix_runtime_hide(void)
{
    atomic_store(&hidden, head != NULL);
    return leave_main_alone();
}

bool
ix_runtime_is_hidden(void)
{
    return atomic_load(&hidden);
}
