#include "attachment.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- release queues ---- */

struct ix_releases *
ix_releases_new(void)
{
    struct ix_releases *releases = calloc(1, sizeof *releases);
    if (releases == NULL)
        return NULL;
    if (pthread_mutex_init(&releases->lock, NULL) != 0) {
        free(releases);
        return NULL;
    }
    atomic_init(&releases->refs, 1);
    return releases;
}

void
ix_releases_acquire(struct ix_releases *releases)
{
    atomic_fetch_add_explicit(&releases->refs, 1, memory_order_relaxed);
}

void
ix_releases_release(struct ix_releases *releases)
{
    if (releases == NULL
        || atomic_fetch_sub_explicit(&releases->refs, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&releases->lock);
    free(releases);
}

bool
ix_releases_listen(struct ix_releases *releases, void (*ring)(void *), void *bell)
{
    pthread_mutex_lock(&releases->lock);
    releases->ring = ring;
    releases->bell = bell;
    pthread_mutex_unlock(&releases->lock);
    return atomic_load(&releases->head) != NULL;
}

void
ix_releases_ignore(struct ix_releases *releases, void *bell)
{
    pthread_mutex_lock(&releases->lock);
    if (releases->bell == bell) {
        releases->ring = NULL;
        releases->bell = NULL;
    }
    pthread_mutex_unlock(&releases->lock);
}

/* The push came first, and is sequentially consistent, as is the look that a home takes between its
 * announcement that it sleeps and its sleep: at least one of the two sees the other. */
static void
wake_home(struct ix_releases *releases)
{
    atomic_fetch_add(&releases->version, 1);
    if (atomic_load(&releases->sleeping) != 0)
        ix_park_wake_all(&releases->version);
    pthread_mutex_lock(&releases->lock);
    if (releases->ring != NULL)
        releases->ring(releases->bell);
    pthread_mutex_unlock(&releases->lock);
}

/* Returns whether the home may be asleep: what is there already has woken it. */
static bool
push(struct ix_releases *releases, struct ix_attachment *attachment)
{
    struct ix_attachment *head = atomic_load_explicit(&releases->head, memory_order_relaxed);
    do {
        attachment->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&releases->head, &head, attachment,
                                                    memory_order_seq_cst, memory_order_relaxed));
    return head == NULL;
}

struct ix_attachment *
ix_releases_take(struct ix_releases *releases)
{
    return atomic_exchange(&releases->head, NULL);
}

void
ix_releases_sleep(struct ix_releases *releases, uint32_t version)
{
    atomic_fetch_add(&releases->sleeping, 1);
    ix_park_wait(&releases->version, version, -1);
    atomic_fetch_sub(&releases->sleeping, 1);
}

void
ix_releases_begin_child(struct ix_releases *releases)
{
    pthread_mutex_init(&releases->lock, NULL);
    releases->ring = NULL;
    releases->bell = NULL;
    atomic_store(&releases->sleeping, 0);
}

void
ix_releases_dismiss(struct ix_releases *releases)
{
    atomic_store(&releases->dismissed, true);
    atomic_fetch_add(&releases->version, 1);
    ix_park_wake_all(&releases->version);
}

/* ---- attachments ---- */

struct ix_attachment *
ix_attachment_new(enum ix_attachment_kind kind, uint32_t ndim, const char *format)
{
    size_t text = strlen(format) + 1;
    size_t layout = 2 * (size_t)ndim * sizeof(ptrdiff_t) + text;
    struct ix_attachment *attachment = calloc(1, sizeof *attachment + layout);
    if (attachment == NULL)
        return NULL;
    atomic_init(&attachment->refs, 1);
    attachment->kind = (uint8_t)kind;
    attachment->ndim = ndim;
    memcpy(ix_attachment_format(attachment), format, text);
    return attachment;
}

void
ix_attachment_adopt(struct ix_attachment *attachment, struct ix_releases *home, void *owner)
{
    assert(attachment->home == NULL && attachment->base == NULL);
    ix_releases_acquire(home);
    home->lent++;
    attachment->home = home;
    attachment->owner = owner;
}

bool
ix_attachment_allocate(struct ix_attachment *attachment, size_t length, bool zero)
{
    size_t size = length != 0 ? length : 1;
    attachment->data = zero ? calloc(1, size) : malloc(size);
    attachment->owns_data = attachment->data != NULL;
    attachment->length = length;
    return attachment->owns_data;
}

struct ix_attachment *
ix_attachment_layout(const struct ix_attachment *attachment)
{
    size_t layout = 2 * (size_t)attachment->ndim * sizeof(ptrdiff_t);
    struct ix_attachment *copy = ix_attachment_new(attachment->kind, attachment->ndim,
                                                   ix_attachment_format(attachment));
    if (copy == NULL)
        return NULL;
    copy->readonly = attachment->readonly;
    copy->data = attachment->data;
    copy->length = attachment->length;
    copy->itemsize = attachment->itemsize;
    memcpy(copy->layout, attachment->layout, layout);
    return copy;
}

void
ix_attachment_acquire(struct ix_attachment *attachment)
{
    atomic_fetch_add_explicit(&attachment->refs, 1, memory_order_relaxed);
}

static void
destroy(struct ix_attachment *attachment)
{
    if (attachment->owns_data)
        free(attachment->data);
    free(attachment);
}

/* Gives a reference back; returns the release queue to be woken, or NULL. */
static struct ix_releases *
give_back(struct ix_attachment *attachment)
{
    if (atomic_fetch_sub_explicit(&attachment->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    struct ix_attachment *base = attachment->base;
    if (base != NULL) {
        destroy(attachment);
        return give_back(base);
    }
    struct ix_releases *home = attachment->home;
    if (home == NULL) {
        destroy(attachment);
        return NULL;
    }
    if (atomic_load(&home->closed)) { /* the owner was left to leak when its interpreter ended */
        destroy(attachment);
        ix_releases_release(home);
        return NULL;
    }
    ix_releases_acquire(home); /* once pushed, the attachment and its reference may be gone */
    if (push(home, attachment))
        return home;
    ix_releases_release(home);
    return NULL;
}

void
ix_attachment_release(struct ix_attachment *attachment)
{
    struct ix_releases *home = give_back(attachment);
    if (home != NULL)
        wake_home(home);
    ix_releases_release(home);
}

void *
ix_attachment_free(struct ix_attachment *attachment)
{
    void *owner = attachment->owner;
    attachment->home->lent--;
    ix_releases_release(attachment->home);
    destroy(attachment);
    return owner;
}

/* ---- lists ---- */

static void
account(struct ix_attachments *list, struct ix_attachment *attachment)
{
    switch ((enum ix_attachment_kind)attachment->kind) {
    case IX_ATTACHED_VIEW:
        list->lent += attachment->length;
        list->shared |= !attachment->readonly && !attachment->pickled;
        break;
    case IX_ATTACHED_SHARED:
        list->lent += attachment->length;
        list->shared = true;
        break;
    case IX_ATTACHED_QUEUE:
        list->shared = true;
        break;
    default:
        list->copied += attachment->length;
    }
}

static struct ix_attachments *
grow(struct ix_attachments *list)
{
    uint32_t capacity = list == NULL ? 4 : list->capacity * 2;
    struct ix_attachments *grown = realloc(list, sizeof *list + capacity * sizeof list->items[0]);
    if (grown == NULL)
        return NULL;
    if (list == NULL)
        memset(grown, 0, sizeof *grown);
    grown->capacity = capacity;
    return grown;
}

bool
ix_attachments_add(struct ix_attachments **list, struct ix_attachment *attachment)
{
    if (*list == NULL || (*list)->count == (*list)->capacity) {
        struct ix_attachments *grown = grow(*list);
        if (grown == NULL) {
            ix_attachment_release(attachment);
            return false;
        }
        *list = grown;
    }
    (*list)->items[(*list)->count++] = attachment;
    account(*list, attachment);
    return true;
}

static int
compare_names(const void *left, const void *right)
{
    const struct ix_attachment *const *a = left, *const *b = right;
    return ((*a)->name > (*b)->name) - ((*a)->name < (*b)->name);
}

bool
ix_attachments_sort(struct ix_attachments **list)
{
    if (*list == NULL && (*list = grow(NULL)) == NULL)
        return false;
    (*list)->remote = true;
    qsort((*list)->items, (*list)->count, sizeof(*list)->items[0], compare_names);
    return true;
}

struct ix_attachment *
ix_attachments_find(struct ix_attachments *list, uint64_t address)
{
    if (list == NULL || !list->remote)
        return (struct ix_attachment *)(uintptr_t)address;
    struct ix_attachment sought = {.name = address}, *key = &sought;
    struct ix_attachment **found = bsearch(&key, list->items, list->count, sizeof list->items[0],
                                           compare_names);
    return found == NULL ? NULL : *found;
}

struct ix_attachments *
ix_attachments_of(struct ix_attachments *chain, uint32_t item)
{
    while (chain != NULL && chain->item != item)
        chain = chain->next;
    return chain;
}

void
ix_attachments_cut(struct ix_attachments *list, uint32_t count)
{
    if (list == NULL)
        return;
    while (list->count > count)
        ix_attachment_release(list->items[--list->count]);
    list->shared = false;
    list->changing = NULL;
    list->copied = list->lent = 0;
    for (uint32_t i = 0; i < count; i++)
        account(list, list->items[i]);
}

void
ix_attachments_free(struct ix_attachments *list)
{
    while (list != NULL) {
        struct ix_attachments *next = list->next;
        for (uint32_t i = 0; i < list->count; i++)
            ix_attachment_release(list->items[i]);
        free(list);
        list = next;
    }
}
