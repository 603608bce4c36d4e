#include "task.h"

#include <assert.h>

struct ix_limits *
ix_limits_new(int64_t timeout_ns, int64_t grace_ns, bool interrupt_on_cancel)
{
    struct ix_limits *limits = malloc(sizeof *limits);
    if (limits == NULL)
        return NULL;
    atomic_init(&limits->refs, 1);
    limits->timeout_ns = timeout_ns;
    limits->grace_ns = grace_ns;
    limits->interrupt_on_cancel = interrupt_on_cancel;
    return limits;
}

void
ix_limits_acquire(struct ix_limits *limits)
{
    if (limits != NULL)
        atomic_fetch_add_explicit(&limits->refs, 1, memory_order_relaxed);
}

void
ix_limits_release(struct ix_limits *limits)
{
    if (limits != NULL && atomic_fetch_sub_explicit(&limits->refs, 1, memory_order_acq_rel) == 1)
        free(limits);
}

struct ix_callable *
ix_callable_new(uint32_t id, uint32_t form, const char *data, size_t length)
{
    struct ix_callable *callable = malloc(sizeof *callable + length);
    if (callable == NULL)
        return NULL;
    atomic_init(&callable->refs, 1);
    atomic_init(&callable->lane, IX_LANE_ANY);
    callable->id = id;
    callable->form = form;
    callable->length = length;
    callable->attachments = NULL;
    if (length != 0)
        memcpy(callable->data, data, length);
    return callable;
}

void
ix_callable_acquire(struct ix_callable *callable)
{
    atomic_fetch_add_explicit(&callable->refs, 1, memory_order_relaxed);
}

void
ix_callable_release(struct ix_callable *callable)
{
    if (callable != NULL
        && atomic_fetch_sub_explicit(&callable->refs, 1, memory_order_acq_rel) == 1) {
        ix_attachments_free(callable->attachments);
        free(callable);
    }
}

/* Every task has room for a small outcome, so that small results need no allocation either. */
#define ROOM_MIN 24 /* which ix_task_data() relies on to hold a pointer */
#define ROOM_MAX 4096

struct ix_task *
ix_task_new(struct ix_callable *callable, struct ix_buffer *arguments)
{
    size_t room = arguments->length;
    if (room < ROOM_MIN || room > ROOM_MAX)
        room = ROOM_MIN;
    struct ix_task *task = malloc(sizeof *task + room);
    if (task == NULL)
        return NULL;
    task->entry.next = NULL;
    task->entry.kind = IX_ENTRY_TASK;
    atomic_init(&task->state, IX_PENDING);
    atomic_init(&task->entry.refs, 1);
    task->callable = NULL;
    task->limits = NULL;
    task->future = NULL;
    task->length = 0;
    task->attachments = NULL;
    task->capacity = (uint16_t)room;
    task->outcome = IX_OUTCOME_NONE;
    task->lane = IX_LANE_ANY;
    if (!ix_task_set_data(task, arguments)) {
        free(task);
        return NULL;
    }
    if (callable != NULL)
        ix_callable_acquire(callable);
    task->callable = callable;
    return task;
}

void
ix_task_acquire(struct ix_task *task)
{
    atomic_fetch_add_explicit(&task->entry.refs, 1, memory_order_relaxed);
}

void
ix_task_release(struct ix_task *task)
{
    if (task == NULL || atomic_fetch_sub_explicit(&task->entry.refs, 1, memory_order_acq_rel) != 1)
        return;
    assert(task->future == NULL);
    ix_task_drop_data(task);
    ix_callable_release(task->callable);
    ix_limits_release(task->limits);
    free(task);
}

void
ix_task_drop_data(struct ix_task *task)
{
    if (task->length > task->capacity)
        free(ix_task_data(task));
    task->length = 0;
    if (task->attachments != NULL) {
        ix_attachments_free(task->attachments);
        task->attachments = NULL;
    }
}

bool
ix_task_set_data(struct ix_task *task, struct ix_buffer *buffer)
{
    size_t length = buffer->length;
    ix_task_drop_data(task);
    if (length <= task->capacity) {
        if (length != 0) /* an empty buffer may have no memory at all */
            memcpy(task->room, buffer->data, length);
    }
    else {
        char *data = ix_buffer_steal(buffer);
        if (data == NULL)
            return false;
        memcpy(task->room, &data, sizeof data);
    }
    task->length = length;
    task->attachments = ix_buffer_detach(buffer);
    return true;
}

/* PENDING -> `to`, keeping the flags; false if the task was not pending. */
static bool
leave_pending(struct ix_task *task, uint32_t to, uint32_t *flags)
{
    uint32_t word = atomic_load_explicit(&task->state, memory_order_relaxed);
    do {
        if ((word & IX_STATE_MASK) != IX_PENDING)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&task->state, &word, word | to,
                                                    memory_order_acq_rel, memory_order_relaxed));
    *flags = word;
    return true;
}

bool
ix_task_start(struct ix_task *task)
{
    uint32_t flags;
    return leave_pending(task, IX_RUNNING, &flags);
}

/* RUNNING -> `to`; false if the task was not running. */
static bool
leave_running(struct ix_task *task, uint32_t to, uint32_t *flags)
{
    uint32_t word = IX_RUNNING; /* as it mostly is: no flags */
    do {
        if ((word & IX_STATE_MASK) != IX_RUNNING)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&task->state, &word, to, memory_order_acq_rel,
                                                    memory_order_relaxed));
    if (word & IX_WAITED)
        ix_park_wake_all(&task->state);
    *flags = word & ~IX_STATE_MASK;
    return true;
}

uint32_t
ix_task_finish(struct ix_task *task, enum ix_outcome outcome)
{
    uint32_t flags;
    task->outcome = (uint8_t)outcome;
    return leave_running(task, IX_DONE, &flags) ? flags : IX_ABANDONED;
}

bool
ix_task_abandon(struct ix_task *task, uint32_t why, uint32_t *flags)
{
    return leave_running(task, IX_DONE | IX_ABANDONED | why, flags);
}

bool
ix_task_cancel(struct ix_task *task)
{
    uint32_t flags;
    if (!leave_pending(task, IX_CANCELLED, &flags))
        return false;
    if (flags & IX_WAITED)
        ix_park_wake_all(&task->state);
    return true;
}

bool
ix_task_flag(struct ix_task *task, uint32_t flags)
{
    uint32_t word = atomic_load_explicit(&task->state, memory_order_acquire);
    do {
        if (word & IX_TERMINAL)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&task->state, &word, word | flags,
                                                    memory_order_acq_rel, memory_order_acquire));
    return true;
}

enum ix_park
ix_task_wait(struct ix_task *task, int64_t timeout_ns)
{
    int64_t deadline = timeout_ns < 0 ? 0 : ix_now_ns() + timeout_ns;
    while (ix_task_flag(task, IX_WAITED)) {
        int64_t left = timeout_ns < 0 ? -1 : deadline - ix_now_ns();
        if (timeout_ns >= 0 && left <= 0)
            return IX_PARK_TIMEOUT;
        uint32_t word = atomic_load_explicit(&task->state, memory_order_acquire);
        if (word & IX_TERMINAL)
            break;
        if (ix_park_wait(&task->state, word, left) == IX_PARK_INTERRUPTED)
            return ix_task_is_terminal(task) ? IX_PARK_WOKEN : IX_PARK_INTERRUPTED;
    }
    return IX_PARK_WOKEN;
}

enum ix_park
ix_task_nap(struct ix_task *task, int64_t ns)
{
    uint32_t word = atomic_load_explicit(&task->state, memory_order_acquire);
    return word & IX_TERMINAL ? IX_PARK_WOKEN : ix_park_wait(&task->state, word, ns);
}
