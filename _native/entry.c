#include "entry.h"

#include "job.h"
#include "task.h"

void
ix_entry_release(struct ix_entry *entry)
{
    if (entry != NULL && entry->kind == IX_ENTRY_JOB)
        ix_job_release((struct ix_job *)entry);
    else
        ix_task_release((struct ix_task *)entry);
}
