/* A gate in front of something that will end: guests pass while it is open, and whoever closes it waits
 * until the last of them has left.
 *
 * It keeps a worker's interpreter alive while a thread of somebody else's is inside. One word: the
 * number of guests, and a bit once it closes. Locks: none.
 */
#ifndef IX_GATE_H
#define IX_GATE_H

#include "park.h"

#define IX_GATE_CLOSED 0x80000000u

struct ix_gate {
    _Atomic uint32_t word;
};

/* False once the gate is closed; otherwise ix_gate_leave() must follow. Context: any. */
bool ix_gate_enter(struct ix_gate *gate);
void ix_gate_leave(struct ix_gate *gate);
/* Lets nobody in any more and sleeps until nobody is inside. Context: no GIL held. */
void ix_gate_close(struct ix_gate *gate);

#endif
