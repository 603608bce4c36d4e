/* The parts that actors play in a stepped run. */
#ifndef IX_SCENES_H
#define IX_SCENES_H

#include "stepped.h"

enum scene_body {
    ACT_RUN,    /* a worker with the task; param: it would publish itself, as a deputy */
    ACT_CANCEL, /* the owner */
    ACT_FLAG,   /* the owner; param: the flags */
    ACT_WAIT,   /* param: the timeout in ms, or -1 */
    ACT_NOTIFY, /* the notifier, until the outbox closes */
    ACT_DROP,   /* leaves the task with this number in the outbox and rings */
    ACT_CLOSE_OUTBOX,
    ACT_WORK,      /* a worker at the queue; param: max_runs */
    ACT_PUSH,      /* param: so many entries */
    ACT_END_QUEUE, /* param: enum scene_end, or-ed */
    ACT_JOIN,
    ACT_PUBLISH, /* a worker with its claim of a map */
    ACT_READ,    /* all items of the map */
    ACT_END_MAP,
};

enum scene_end { END_CLEAR_FIRST = 1, END_BREAK = 2, END_CLOSE = 4, END_CLEAR = 8 };

#endif
