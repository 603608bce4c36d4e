/* The parts that actors play in a stepped run. */
#ifndef IX_SCENES_H
#define IX_SCENES_H

#include "stepped.h"

#include "alarm.h"
#include "gate.h"
#include "claim.h"
#include "outbox.h"
#include "crew.h"

enum scene_body {
    ACT_RUN,    /* a worker with the task; param: it would publish itself, as a deputy */
    ACT_CANCEL, /* the owner */
    ACT_ABANDON,
    ACT_FLAG,   /* the owner; param: the flags */
    ACT_WAIT,   /* param: the timeout in ms, or -1 */
    ACT_NOTIFY, /* the notifier, until the outbox closes */
    ACT_DROP,   /* leaves the task with this number in the outbox and rings */
    ACT_CLOSE_OUTBOX,
    ACT_WORK,  /* a worker at the queue; param: max_runs */
    ACT_STALL, /* a worker that others keep from its GIL for ever, once it has let go of it */
    ACT_NUDGE, /* gives something back to the worker whose number is param */
    ACT_PUSH,  /* param: so many entries */
    ACT_PUSH_AND_AWAIT,
    ACT_END_QUEUE, /* param: enum scene_end, or-ed */
    ACT_JOIN,
    ACT_PUBLISH, /* a worker with its claim of a map */
    ACT_READ,    /* all items of the map */
    ACT_END_MAP,
    ACT_FORSAKE,    /* the owner gives up the claim of the actor whose number is param */
    ACT_VISIT,      /* passes through the gate, if it is open */
    ACT_CLOSE_GATE, /* and ends what is behind it */
    ACT_SET_ALARM,  /* a worker with a deadline; param: at that time */
    ACT_WATCH,      /* the watchdog, until it has seen every deadline */
};

enum scene_end { END_CLEAR_FIRST = 1, END_BREAK = 2, END_CLOSE = 4, END_CLEAR = 8 };

/* ---- shared by scenes.c and scene_actors.c ---- */

#define SCENE_ENTRIES 8

/* What the actors share, and what has happened to it. */
struct scene {
    const struct scene_spec *spec;
    long blocks;
    const char *fault;
    unsigned char results[STEPPED_ACTORS];
    /* one task, and the outbox */
    struct ix_task *task;
    struct ix_outbox *outbox;
    int runs, cancels, abandons, late_finishes, flagged, deliveries, left_to_owner;
    /* the queue; what it holds: tasks, then jobs that take `turns` */
    struct ix_queue queue;
    struct ix_seat seats[STEPPED_ACTORS];
    struct ix_task *tasks[SCENE_ENTRIES];
    struct ix_job *jobs[SCENE_ENTRIES];
    int turns[SCENE_ENTRIES], taken[SCENE_ENTRIES], cleared[SCENE_ENTRIES], refused[SCENE_ENTRIES];
    int next_entry;
    /* a map of as many items as there are publishers */
    struct ix_job *map;
    struct ix_claim claims[STEPPED_ACTORS];
    int items, forsaken;
    /* a gate, and whether what is behind it has ended */
    struct ix_gate gate;
    int ended;
    /* an alarm, and each actor's deadline */
    struct ix_alarm *alarm;
    _Atomic int64_t deadlines[STEPPED_ACTORS];
};
extern struct scene scene;

void scene_check(bool condition, const char *fault);
/* Plays an actor's part; returns its result. */
int scene_play(int actor, enum scene_body body, int param);
struct ix_task *scene_make_task(void);
/* Pushes so many of the entries that have not been pushed; returns how many were accepted. */
int scene_push(int count);

#endif
