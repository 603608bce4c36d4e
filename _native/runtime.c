#include "runtime.h"

#include "park.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
static list_head *head;       /* NULL: not known */
static PyMutex *threads_lock; /* protects the thread states of all interpreters; NULL: not known */
static PyInterpreterState *main_interpreter;

/* For so long the end of the process waits for interpreters that are being made or ended. That is some
 * milliseconds of CPython's own work, on a busy machine more. */
#define CHANGE_NS 5000000000

static pthread_mutex_t residents_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ix_resident *residents; /* protected by the lock; of all owners */
static _Atomic uint32_t changing;     /* interpreters that are being made or ended */
static _Atomic uint32_t seized;       /* residents that have been stopped */

/* ---- the list ---- */

/* The minor versions on which the tests of forks and of stuck exits have passed. */
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

/* The lock of the list, which is that of each interpreter's list of thread states too. On all tested versions
 * the runtime has it right before the head, and the main interpreter right behind that. */
static PyMutex *
find_threads_lock(void)
{
    static const char padding[sizeof(list_head) - sizeof(PyMutex)];
    if (head == NULL || *(PyInterpreterState **)(head + 1) != main_interpreter)
        return NULL;
    char *before = (char *)(head - 1);
    bool agrees = memcmp(before + sizeof(PyMutex), padding, sizeof padding) == 0;
    return agrees ? (PyMutex *)before : NULL;
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
    pthread_mutex_init(&residents_lock, NULL);
    residents = NULL;
    atomic_store(&changing, 0);
    leave_main_alone();
}

static void
init(void)
{
    main_interpreter = PyInterpreterState_Main();
    head = find_head(dlsym(RTLD_DEFAULT, "_PyRuntime"));
    threads_lock = find_threads_lock();
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

/* ---- the workers' interpreters ---- */

static void
begin_change_locked(void)
{
    atomic_fetch_add(&changing, 1);
}

static void
end_change(void)
{
    atomic_fetch_sub(&changing, 1);
    ix_park_wake_all(&changing);
}

void
ix_runtime_before_start(void)
{
    pthread_mutex_lock(&residents_lock);
    begin_change_locked();
    pthread_mutex_unlock(&residents_lock);
}

void
ix_runtime_enlist(struct ix_resident *resident, PyInterpreterState *interpreter,
                  PyInterpreterState *owner)
{
    end_change(); /* whoever waits for it holds the lock, at which this thread then stops */
    if (interpreter == NULL)
        return;
    pthread_mutex_lock(&residents_lock);
    resident->interpreter = interpreter;
    resident->owner = owner;
    resident->thread = PyThread_get_thread_native_id();
    resident->previous = NULL;
    resident->next = residents;
    if (residents != NULL)
        residents->previous = resident;
    residents = resident;
    pthread_mutex_unlock(&residents_lock);
}

void
ix_runtime_strike(struct ix_resident *resident)
{
    pthread_mutex_lock(&residents_lock);
    begin_change_locked();
    if (resident->next != NULL)
        resident->next->previous = resident->previous;
    if (resident->previous != NULL)
        resident->previous->next = resident->next;
    else
        residents = resident->next;
    resident->interpreter = NULL;
    pthread_mutex_unlock(&residents_lock);
}

void
ix_runtime_after_end(void)
{
    end_change();
}

/* As pthread_getcpuclockid() has it, for a thread that may have ended: then there is no such clock. */
static int64_t
processor_ns(unsigned long thread)
{
#ifdef __linux__
    struct timespec time;
    clockid_t clock = (clockid_t)(~(unsigned int)thread << 3 | 6);
    if (thread != 0 && clock_gettime(clock, &time) == 0)
        return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
#else
    (void)thread;
#endif
    return 0;
}

/* But for the thread `counted`. A worker's thread has a state in its owner, too, which is counted there. */
static int64_t
computed_in_locked(PyInterpreterState *interpreter, unsigned long counted)
{
    int64_t sum = 0;
    PyMutex_Lock(threads_lock);
    for (PyThreadState *each = PyInterpreterState_ThreadHead(interpreter); each != NULL;
         each = PyThreadState_Next(each))
        if (each->native_thread_id != counted)
            sum += processor_ns(each->native_thread_id);
    PyMutex_Unlock(threads_lock);
    for (struct ix_resident *each = residents; each != NULL; each = each->next)
        if (each->owner == interpreter)
            sum += computed_in_locked(each->interpreter, each->thread);
    return sum;
}

int64_t
ix_runtime_computed_ns(struct ix_resident *resident)
{
    if (threads_lock == NULL)
        return 0;
    pthread_mutex_lock(&residents_lock);
    PyInterpreterState *interpreter = resident->interpreter;
    int64_t sum = interpreter == NULL ? 0 : computed_in_locked(interpreter, 0);
    pthread_mutex_unlock(&residents_lock);
    return sum;
}

bool
ix_runtime_has_residents(void)
{
    pthread_mutex_lock(&residents_lock);
    bool found = residents != NULL || atomic_load(&changing) != 0;
    pthread_mutex_unlock(&residents_lock);
    return found;
}

/* ---- the end of the process ---- */

/* Starts a thread that no signal comes to: those are for the program's own. */
static bool
start_thread(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&thread, NULL, run, argument) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        pthread_detach(thread);
    return started;
}

/* Takes the interpreter's GIL and never gives it back. A loop in Python lets go of it within the switch
 * interval, and waits for it for ever after; so does what comes out of a sleep or a system call. */
static void *
seize(void *interpreter)
{
    PyThreadState *state = PyThreadState_New(interpreter);
    if (state != NULL) {
        PyEval_RestoreThread(state);
        atomic_fetch_add(&seized, 1);
        ix_park_wake_all(&seized);
    }
    while (true)
        pause();
    return NULL;
}

/* Waits until the count is `wanted`, until the deadline at the latest. */
static void
await(_Atomic uint32_t *count, uint32_t wanted, int64_t deadline)
{
    uint32_t now;
    while ((now = atomic_load(count)) != wanted) {
        int64_t left = deadline - ix_now_ns();
        if (left <= 0)
            break;
        ix_park_wait(count, now, left);
    }
}

bool
ix_runtime_hide(int64_t timeout_ns)
{
    uint32_t wanted = 0;
    if (head == NULL)
        return false;
    pthread_mutex_lock(&residents_lock); /* for good: whoever is on the list stays alive */
    for (struct ix_resident *each = residents; each != NULL; each = each->next)
        wanted += start_thread(seize, each->interpreter);
    await(&seized, wanted, ix_now_ns() + timeout_ns);
    await(&changing, 0, ix_now_ns() + CHANGE_NS);
    return leave_main_alone();
}

static void *
exit_in_a_second(void *code)
{
    sleep(1);
    _exit((int)(intptr_t)code);
}

bool
ix_runtime_exit_soon(int code)
{
    return start_thread(exit_in_a_second, (void *)(intptr_t)code);
}

static void
die_of_interrupt(void)
{
    signal(SIGINT, SIG_DFL);
    kill(getpid(), SIGINT);
}

bool
ix_runtime_end_by_interrupt(void)
{
    return Py_AtExit(die_of_interrupt) == 0;
}
