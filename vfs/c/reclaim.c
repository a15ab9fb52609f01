/* Superseded slots until they are free: the fast half of vfs/reclaim/queue.py, which has the rule and R1 to R9.
**
** A volume's waiting slots are guarded by its volume lock; the list of volumes by store->guard.  Two figures about the
** slots are atomic, because a writer looks at them before it takes the volume lock.  What else there is to
** reclaim (released pins, dropped heads, sweeps) is done by the opener of the store, which takes over the slots that
** wait here (reclaim_take) before it drains a volume itself.
*/
#include "store.h"

#include <stdlib.h>
#include <string.h>

#define DRAIN_SLOTS 48
#define UNSYNCED_SLOTS_MAX 4096

struct Waiting {
    uint64_t volume;
    Supersededs ready, unsynced, held; /* held: by readers */
    size_t count;                      /* of all three, relaxed */
    bool is_worth_draining;            /* relaxed */
    uint64_t synced_to;                /* deaths in ``unsynced`` are later than this version */
    bool knows_pins;
    uint64_t pin_mark; /* of the durable pins below (R9) */
    Pins durable_pins;
    struct Waiting *next;
};

static Waiting *find_waiting(Store *store, uint64_t volume)
{
    Waiting *waiting = store->waiting;
    while (waiting && waiting->volume != volume) waiting = waiting->next;
    return waiting;
}

static Waiting *waiting_of(Store *store, uint64_t volume)
{
    pthread_mutex_lock(&store->guard);
    Waiting *waiting = find_waiting(store, volume);
    pthread_mutex_unlock(&store->guard);
    return waiting;
}

static size_t count_of(const Waiting *waiting)
{
    return __atomic_load_n(&waiting->count, __ATOMIC_RELAXED);
}

/* Update the figures, after a change under the volume lock. */
static void count_slots(Waiting *waiting)
{
    size_t ready = waiting->ready.count, unsynced = waiting->unsynced.count, held = waiting->held.count;
    bool worth = ready > DRAIN_SLOTS || unsynced > UNSYNCED_SLOTS_MAX || held;
    __atomic_store_n(&waiting->count, ready + unsynced + held, __ATOMIC_RELAXED);
    __atomic_store_n(&waiting->is_worth_draining, worth, __ATOMIC_RELAXED);
}

bool reclaim_is_worth_draining(Store *store, uint64_t volume)
{
    pthread_mutex_lock(&store->guard);
    Waiting *waiting = find_waiting(store, volume);
    bool worth = waiting && __atomic_load_n(&waiting->is_worth_draining, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&store->guard);
    return worth;
}

bool reclaim_knows(Store *store, uint64_t volume)
{
    return waiting_of(store, volume) != NULL;
}

/* Queue slots; those of a version that recovery may fall back to wait until their death is durable (R3). */
bool reclaim_enqueue(Store *store, const VolumeRow *row, const Supersededs *items, uint64_t durable)
{
    if (!items->count) return true;
    pthread_mutex_lock(&store->guard);
    Waiting *waiting = find_waiting(store, row->volume);
    if (!waiting && (waiting = calloc(1, sizeof *waiting))) {
        waiting->volume = row->volume;
        waiting->next = store->waiting;
        store->waiting = waiting;
    }
    pthread_mutex_unlock(&store->guard);
    if (!waiting) return false;
    bool done = true;
    for (size_t n = 0; done && n < items->count; n++) {
        Superseded item = items->at[n];
        bool is_ready = item.death <= durable || item.birth > durable;
        done = superseded_add(is_ready ? &waiting->ready : &waiting->unsynced, item.slot, item.birth, item.death);
    }
    count_slots(waiting);
    return done;
}

/* --- draining ----------------------------------------------------------------------------------------------------- */
/* The versions that readers pin; buries dead readers if that is possible now (S3). */
static bool reader_pins(Session *session, const VolumeRow *row, Pins *pins)
{
    Store *store = session->store;
    uint64_t high = get_word(&readers_header(store)->session_high);
    if (high > SESSION_ROWS) high = SESSION_ROWS;
    for (uint32_t at = 0; at < high; at++) {
        SessionRecord *record = session_record(store, at);
        if (get_word(&record->volume) != row->table_index + 1ull) continue;
        uint64_t pin = get_word(&record->pin);
        if (!pin) continue;
        bool is_dead = at != session->row && !session_is_held_by_other(session, session_lock(at));
        if (is_dead && store->hooks.bury(store, at)) continue;
        if (!pins_add(pins, pin)) return false;
    }
    pins_sort(pins);
    return true;
}

static bool read_durable_pins(Store *store, const VolumeRow *row, Waiting *waiting, Error *error)
{
    uint64_t mark = get_word(&volume_record(store, row->table_index)->pins);
    if (waiting->knows_pins && waiting->pin_mark == mark) return true;
    waiting->knows_pins = false;
    waiting->durable_pins.count = 0;
    if (!store->hooks.durable_pins(store, row, &waiting->durable_pins, error)) return false;
    waiting->pin_mark = mark;
    waiting->knows_pins = true;
    return true;
}

static void release_synced(Waiting *waiting, uint64_t durable)
{
    if (durable <= waiting->synced_to) return;
    size_t kept = 0;
    for (size_t n = 0; n < waiting->unsynced.count; n++) {
        Superseded item = waiting->unsynced.at[n];
        if (item.death > durable || !superseded_add(&waiting->ready, item.slot, item.birth, item.death))
            waiting->unsynced.at[kept++] = item;
    }
    waiting->unsynced.count = kept;
    waiting->synced_to = durable;
}

/* Free slots that this process keeps; those that a sweep has labelled live are the next sweep's (W2, R5). */
static void free_kept(Store *store, Slots *slots)
{
    uint16_t own = (uint16_t)(RESERVED + keeper_of(store));
    size_t kept = 0;
    for (size_t n = 0; n < slots->count; n++)
        if (__atomic_load_n(&states_of(store)[slots->at[n]], __ATOMIC_SEQ_CST) == own) slots->at[kept++] = slots->at[n];
    slots_give_back(store, slots->at, kept);
    if (kept < slots->count) note_leaks(store);
}

/* Free the slots that no pin holds, keep those that readers hold, leave the others to their durable pins (R5). */
static bool settle(Session *session, Waiting *waiting, const Pins *readers)
{
    Store *store = session->store;
    Slots unpinned = {0}, pinned = {0};
    Supersededs held = {0};
    Supersededs *sources[] = {&waiting->ready, &waiting->held};
    bool done = true;
    for (int source = 0; source < 2; source++)
        for (size_t n = 0; done && n < sources[source]->count; n++) {
            Superseded item = sources[source]->at[n];
            if (holder_of(&waiting->durable_pins, item.birth, item.death))
                done = slots_add(&pinned, item.slot);
            else if (holder_of(readers, item.birth, item.death))
                done = superseded_add(&held, item.slot, item.birth, item.death);
            else
                done = slots_add(&unpinned, item.slot);
        }
    if (done) {
        if (pinned.count) { /* a sweep waits for the end of this (M2) */
            set_word(&session->record->publishing, LABELS);
            slots_set(store, pinned.at, pinned.count, live_label(store));
            set_word(&session->record->publishing, 0);
        }
        free_kept(store, &unpinned);
        waiting->ready.count = 0;
        superseded_free(&waiting->held);
        waiting->held = held;
    } else {
        superseded_free(&held);
    }
    slots_free(&unpinned);
    slots_free(&pinned);
    return done;
}

bool reclaim_drain(Session *session, const VolumeRow *row, Error *error)
{
    Store *store = session->store;
    Waiting *waiting = waiting_of(store, row->volume);
    if (!waiting || !count_of(waiting)) return true;
    VolumeRecord *shared = volume_record(store, row->table_index);
    if (waiting->unsynced.count > UNSYNCED_SLOTS_MAX && get_word(&shared->durable) < get_word(&shared->version)) {
        uint64_t version = get_word(&shared->version);
        if (!pool_sync(store, error)) return false;
        set_word(&shared->durable, version);
    }
    release_synced(waiting, get_word(&shared->durable));
    count_slots(waiting);
    if (!waiting->ready.count && !waiting->held.count) return true;
    Pins readers = {0};
    bool done = REACH("drain: before pins are read", error);
    if (done && !reader_pins(session, row, &readers)) done = fail(error, E_MEMORY, "out of memory"); /* R2: first */
    done = done && REACH("drain: readers read", error) && read_durable_pins(store, row, waiting, error);
    if (done && !settle(session, waiting, &readers)) done = fail(error, E_MEMORY, "out of memory");
    count_slots(waiting);
    free(readers.at);
    return done;
}

/* --- for the opener of the store ---------------------------------------------------------------------------------- */
bool reclaim_take(Store *store, uint64_t volume, Supersededs *items)
{
    Waiting *waiting = waiting_of(store, volume);
    if (!waiting) return true;
    Supersededs *sources[] = {&waiting->ready, &waiting->unsynced, &waiting->held};
    for (int source = 0; source < 3; source++) {
        for (size_t n = 0; n < sources[source]->count; n++) {
            Superseded item = sources[source]->at[n];
            if (!superseded_add(items, item.slot, item.birth, item.death)) return false;
        }
    }
    for (int source = 0; source < 3; source++) sources[source]->count = 0;
    count_slots(waiting);
    return true;
}

size_t reclaim_waiting_count(Store *store)
{
    size_t count = 0;
    pthread_mutex_lock(&store->guard);
    for (Waiting *waiting = store->waiting; waiting; waiting = waiting->next) count += count_of(waiting);
    pthread_mutex_unlock(&store->guard);
    return count;
}

size_t reclaim_volumes(Store *store, uint64_t *volumes, size_t room)
{
    size_t count = 0;
    pthread_mutex_lock(&store->guard);
    for (Waiting *waiting = store->waiting; waiting; waiting = waiting->next)
        if (count_of(waiting)) {
            if (count < room) volumes[count] = waiting->volume;
            count++;
        }
    pthread_mutex_unlock(&store->guard);
    return count;
}

static void forget_volume(Store *store, uint64_t volume, bool is_empty)
{
    pthread_mutex_lock(&store->guard);
    for (Waiting **link = &store->waiting; *link; link = &(*link)->next)
        if ((*link)->volume == volume && (!is_empty || !count_of(*link))) {
            Waiting *waiting = *link;
            *link = waiting->next;
            superseded_free(&waiting->ready);
            superseded_free(&waiting->unsynced);
            superseded_free(&waiting->held);
            free(waiting->durable_pins.at);
            free(waiting);
            break;
        }
    pthread_mutex_unlock(&store->guard);
}

void reclaim_forget_empty(Store *store, uint64_t volume)
{
    forget_volume(store, volume, true);
}

void reclaim_forget(Store *store)
{
    while (store->waiting) forget_volume(store, store->waiting->volume, false);
}
