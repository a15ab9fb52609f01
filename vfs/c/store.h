/* An open store as the C data plane uses it: files, mappings, sessions, handles and transactions.
**
** No file but module.c knows Python.  What is rare is left to the layer that opened the store, through struct Hooks.
** Functions return true, or false with an Error that says what happened.
*/
#ifndef CLUSTERDB_STORE_H
#define CLUSTERDB_STORE_H

#include "layout.h"

#include <pthread.h>

/* --- errors ------------------------------------------------------------------------------------------------------- */
typedef enum Kind {
    E_NONE,
    E_OS,            /* ``number`` is the errno */
    E_POOL_FULL,
    E_CORRUPTION,
    E_STORE_FAILED,
    E_DROPPED,
    E_WRITER_BUSY,
    E_PAST_GONE,
    E_FORKED,
    E_FENCED,
    E_SNAPSHOT_MOVED,
    E_BUSY,
    E_READ_ONLY,
    E_TOO_MANY_SESSIONS,
    E_MEMORY,
    E_CANT_OPEN,
    E_OTHER,
    E_RAISED,        /* a hook failed, and keeps the reason; ``number`` is the result code of SQLite for it */
} Kind;

typedef struct Error {
    Kind kind;
    int number;
    char text[300];
} Error;

/* As ``= {0}``, which would write the whole text, on every path that is hot. */
static inline void no_error(Error *error)
{
    error->kind = E_NONE;
    error->number = 0;
    error->text[0] = 0;
}

bool fail(Error *error, Kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool fail_os(Error *error, int number, const char *action);

/* --- growing arrays ----------------------------------------------------------------------------------------------- */
typedef struct Slots {
    uint32_t *at;
    size_t count, room;
} Slots;

bool slots_add(Slots *slots, uint32_t slot);
bool slots_reserve(Slots *slots, size_t more);
void slots_sort(Slots *slots);
void slots_free(Slots *slots);
void slots_clear(Slots *slots); /* keeps a small room for the next ones */

typedef struct Superseded {
    uint32_t slot;
    uint64_t birth;
    uint64_t death;
} Superseded;

typedef struct Supersededs {
    Superseded *at;
    size_t count, room;
} Supersededs;

bool superseded_add(Supersededs *items, uint32_t slot, uint64_t birth, uint64_t death);
void superseded_free(Supersededs *items);
void superseded_clear(Supersededs *items);

typedef struct Pins { /* ascending versions */
    uint64_t *at;
    size_t count, room;
} Pins;

bool pins_add(Pins *pins, uint64_t version);
void pins_sort(Pins *pins);
/* The lowest pin in [birth, death); 0 if there is none. */
uint64_t holder_of(const Pins *pins, uint64_t birth, uint64_t death);

/* A map from numbers (pages, nodes) to pointers: open addressing, linear probing. */
typedef struct Map {
    uint32_t *keys; /* number + 1; 0: empty */
    void **values;
    size_t count, room;
} Map;

void *map_get(const Map *map, uint32_t number);
bool map_put(Map *map, uint32_t number, void *value);
void *map_remove(Map *map, uint32_t number);
/* All numbers, ascending, in ``numbers`` (``map->count`` of them). */
void map_numbers(const Map *map, uint32_t *numbers);
void map_clear(Map *map);
void map_free(Map *map);

/* --- what the opener of a store provides -------------------------------------------------------------------------- */
typedef struct Store Store;
typedef struct Handle Handle;
typedef struct File File;

/* The catalog's row of a volume, as far as the data plane uses it. */
typedef struct VolumeRow {
    uint64_t volume;
    uint32_t table_index;
    uint32_t head_slot;
    bool is_past; /* its cluster has switched to another volume */
    Version base;
} VolumeRow;

/* Every hook may be called from any thread, without any lock of this module except those of files. */
typedef struct Hooks {
    bool (*grow)(Store *store, uint64_t slot_count, Error *error); /* under the pool lock */
    bool (*durable_pins)(Store *store, const VolumeRow *row, Pins *pins, Error *error);
    bool (*bury)(Store *store, uint32_t session_row);
    bool (*before_write)(Handle *handle, Error *error); /* reclaim work that waits for a writer, under the volume lock */
    void (*on_close)(Handle *handle);                    /* the same, when a handle closes */
    bool (*begins_publishing)(Handle *handle, Error *error); /* the first commit; sets store->keeper_row, relaxed */
    /* The volume that the cluster has switched to; ``follows``: the handle leaves its volume for it. */
    bool (*successor)(Handle *handle, bool follows, VolumeRow *row, bool *found, Error *error);
    bool (*find_record)(Handle *handle, uint64_t version, Version *record, bool *found, Error *error);
    bool (*newest_at)(Handle *handle, int64_t time_ns, uint64_t first, uint64_t last, Version *record, bool *found,
                      Error *error);
    bool (*reread)(Handle *handle, VolumeRow *row, bool *found, Error *error);
    bool (*seal)(Handle *handle, Error *error);
    bool (*wipe_stale_record)(Handle *handle, uint64_t published, Error *error);
    bool (*history_file)(Handle *handle, int *fd, Error *error);
    bool (*require_resident)(Store *store, uint32_t slot, uint32_t crc, Error *error);
    /* Put the bytes of a damaged page back, if there is a copy of them. */
    bool (*mend)(Handle *handle, uint32_t page, uint32_t slot, uint32_t crc, Error *error);
    bool (*failed)(Store *store, const char *reason);
    bool (*deliver_signals)(Store *store, Error *error);
    void (*released)(void *owner); /* the store is gone */
} Hooks;

/* --- calls of the system ------------------------------------------------------------------------------------------ */
struct iovec;
typedef struct Calls {
    bool (*write)(Store *store, int fd, const struct iovec *parts, int count, uint64_t offset, Error *error);
    bool (*sync)(Store *store, int fd, Error *error);
    int64_t (*now_ns)(clockid_t clock);
} Calls;

extern Calls calls;                           /* replaced while tests record or fail them */
extern bool (*reach_hook)(const char *point, Error *error);
extern int points_armed;                      /* whether tests have armed a named point (vfs/failpoints.py) */
#define REACH(point, error) (!points_armed || reach_hook((point), (error)))

bool system_write(Store *store, int fd, const struct iovec *parts, int count, uint64_t offset, Error *error);
bool system_sync(Store *store, int fd, Error *error);
int64_t system_now_ns(clockid_t clock);
bool write_at(Store *store, int fd, const void *data, size_t length, uint64_t offset, Error *error);
bool pool_sync(Store *store, Error *error);
void store_failed(Store *store, const char *reason);
bool require_writable(Store *store, Error *error);

/* --- the store ---------------------------------------------------------------------------------------------------- */
typedef struct Session {
    Store *store;
    int fd; /* its open file description of the file locks */
    uint32_t row;
    uint64_t generation; /* of the row: no other session has both */
    bool has_writer_byte;
    SessionRecord *record;
    uint32_t volume_index;
    Slots reserved, reserved_run; /* ascending */
    size_t spare_slots; /* reserved beyond need, the last time */
    uint64_t run_near;  /* the first slot of the last run: the next one is looked for before it */
    uint32_t run_pause; /* commits that do not look for one, because there was none */
    struct Session *next_idle, *next, **link;
} Session;

typedef struct Waiting Waiting;

struct Store {
    int pool_fd, map_fd, readers_fd, locks_fd;
    bool is_durable, read_only, verify_reads;
    const uint8_t *pool;
    uint8_t *map, *readers;
    size_t pool_mapped, map_mapped; /* bytes of address space, beyond the ends of the files */
    uint64_t slots_seen;            /* slots that both files had, and that are mapped; stored after the mappings */
    struct Mapping *former;         /* smaller mappings, which others may still use */
    uint64_t full_from, full_to; /* a stretch without free slots */
    uint32_t keeper_row;
    int has_failed;
    char failure[200];
    pthread_mutex_t guard; /* sessions, waiting slots, mappings, the full stretch, the text of the failure */
    Session *sessions, *idle;
    int idle_count;
    Waiting *waiting;
    const uint32_t *fork_word; /* zero in the child of a fork */
    int reference_count;
    Hooks hooks;
    void *owner; /* of the hooks */
};

typedef struct StoreFiles {
    int pool, map, readers, locks;
    bool is_durable, read_only, verify_reads;
} StoreFiles;

Store *store_open(const StoreFiles *files, const Hooks *hooks, void *owner, Error *error);
void store_acquire(Store *store);
void store_release(Store *store); /* unmaps with the last reference */
void store_forget_locks(Store *store);
void store_set_failure(Store *store, const char *reason); /* an empty reason allows writes again */
void store_close_sessions(Store *store);
bool store_is_orphan(const Store *store);

/* Mappings move where address space is limited; a former one stays valid as far as it reaches. */
static inline const uint8_t *pool_of(const Store *store)
{
    return __atomic_load_n(&store->pool, __ATOMIC_RELAXED);
}

static inline MapHeader *map_header(const Store *store)
{
    return (MapHeader *)(void *)__atomic_load_n(&store->map, __ATOMIC_RELAXED);
}

static inline uint16_t *states_of(const Store *store)
{
    return (uint16_t *)(void *)(__atomic_load_n(&store->map, __ATOMIC_RELAXED) + MAP_HEADER_BYTES);
}

/* Whether the pool file is as long as the map states (M3); a shorter one was cut by something else. */
bool store_has_whole_pool(Store *store);

/* The number of slots, of ``count``, that both files have and that are mapped now. */
uint64_t store_look_again(Store *store, uint64_t count);

/* The number of slots of the pool, all of them mapped.  The word alone is not trusted: reading a mapping past the end
** of its file is a SIGBUS. */
static inline uint64_t slot_count_of(Store *store)
{
    uint64_t count = get_word(&map_header(store)->slot_count);
    return count <= __atomic_load_n(&store->slots_seen, __ATOMIC_ACQUIRE) ? count : store_look_again(store, count);
}

/* The bytes of a slot; NULL with an error for a slot past the end of the pool. */
const uint8_t *read_slot(Store *store, uint32_t slot, Error *error);

static inline VolumeRecord *volume_record(const Store *store, uint32_t index)
{
    return (VolumeRecord *)(void *)(store->readers + VOLUME_TABLE_BYTE) + index;
}

static inline SessionRecord *session_record(const Store *store, uint32_t row)
{
    return (SessionRecord *)(void *)(store->readers + SESSION_TABLE_BYTE) + row;
}

static inline ReadersHeader *readers_header(const Store *store)
{
    return (ReadersHeader *)(void *)store->readers;
}

static inline uint32_t keeper_of(const Store *store)
{
    return __atomic_load_n(&store->keeper_row, __ATOMIC_RELAXED);
}

static inline bool has_failed(const Store *store)
{
    return __atomic_load_n(&store->has_failed, __ATOMIC_SEQ_CST);
}

int64_t clock_tick_ns(Store *store);

/* --- slots (slots.c) ---------------------------------------------------------------------------------------------- */
bool slots_take_free(Store *store, uint32_t row, size_t count, Slots *slots, Error *error);
/* As slots_take_run(), but only at the end of the pool, or just before the slot ``near``; perhaps none. */
bool slots_take_near_run(Store *store, uint32_t row, size_t count, size_t spare, uint64_t near, Slots *slots,
                         Error *error);
bool slots_take_run(Store *store, uint32_t row, size_t count, size_t spare, uint64_t near, Slots *slots, Error *error);
void slots_set(Store *store, const uint32_t *slots, size_t count, uint16_t state);
void slots_give_back(Store *store, const uint32_t *slots, size_t count);
uint16_t live_label(const Store *store);
void note_leaks(Store *store);

/* --- sessions (sessions.c) ---------------------------------------------------------------------------------------- */
Session *session_open(Store *store, Error *error);
void session_close(Session *session); /* keeps it for reuse, up to a number */
bool session_lock_wait(Session *session, int64_t byte, Error *error);
int session_lock_try(Session *session, int64_t byte); /* 1: locked, 0: held by another, -1: errno */
void session_unlock(Session *session, int64_t byte);
bool session_is_held_by_other(Session *session, int64_t byte);
int session_try_volume(Session *session, uint32_t index); /* as session_lock_try */
bool session_lock_volume(Session *session, uint32_t index, Error *error);
void session_unlock_volume(Session *session, uint32_t index);
int session_await_volume(Session *session, uint32_t index, Error *error); /* until nobody has its lock, for a while */
int session_try_writer(Session *session, uint32_t index, uint64_t epoch);
void session_unlock_writer(Session *session, uint32_t index, uint64_t epoch);
bool session_is_written_by_other(Session *session, uint32_t index, uint64_t epoch);
void session_attach(Session *session, uint32_t volume_index);
/* Whether the next ``count`` slots that are taken as a run are contiguous; looks for such slots where it costs little. */
bool session_prepare_run(Session *session, size_t count, bool *is_run, Error *error);
bool session_take_slots(Session *session, size_t count, bool as_run, Slots *slots, Error *error);
void session_release_slots(Session *session);

/* --- the page table (table.c) ------------------------------------------------------------------------------------- */
typedef struct Node {
    Entry entry; /* names the published node */
    int level;
    uint32_t number;
    uint32_t crc;          /* of the children, while few have changed */
    uint32_t change_count; /* since it was published */
    Entry children[FANOUT];
} Node;

#define KEPT_NODES 16

typedef struct Editor {
    Store *store;
    uint64_t new_version;
    Entry root;
    int depth;
    Map dirty[DEPTH_MAX]; /* by level, by number: Node */
    Supersededs superseded; /* death is not set */
    Slots discarded;
    int64_t added_count;
    Node *kept[KEPT_NODES]; /* nodes of former transactions, as they were published */
} Editor;

void editor_begin(Editor *editor, Store *store, const Version *base, uint64_t new_version);
void editor_end(Editor *editor, bool is_published); /* forget edits; keeps copies of some published nodes */
void editor_forget_kept(Editor *editor);
void editor_free(Editor *editor);
Node *editor_leaf(Editor *editor, uint32_t number, Error *error);
bool editor_grow(Editor *editor, uint64_t page_count, Error *error);
bool editor_set_page(Editor *editor, uint32_t page, uint32_t slot, uint32_t crc, Error *error);
bool editor_truncate(Editor *editor, uint64_t page_count, Error *error);
bool editor_is_unchanged(const Editor *editor);
size_t editor_node_count(const Editor *editor);
typedef bool (*PlaceNode)(void *context, const Node *node, uint32_t *slot);
bool editor_seal(Editor *editor, PlaceNode place, void *context, Error *error);

/* The entry of a page, given the root and depth of its version: a hole has slot 0.  Checks the bounds of every slot. */
bool find_page(Store *store, const Entry *root, int depth, uint32_t page, Entry *entry, Error *error);
/* The node that an entry names, after its checksum is checked. */
const Entry *read_node(Store *store, const Entry *entry, int level, uint32_t number, Error *error);

/* --- superseded slots (reclaim.c) --------------------------------------------------------------------------------- */
bool reclaim_is_worth_draining(Store *store, uint64_t volume);
bool reclaim_knows(Store *store, uint64_t volume);
void reclaim_forget_empty(Store *store, uint64_t volume); /* the caller holds the volume lock */
bool reclaim_enqueue(Store *store, const VolumeRow *row, const Supersededs *items, uint64_t durable);
/* Free what no pin holds (R1 to R9 of vfs/reclaim/queue.py); the caller holds the volume lock. */
bool reclaim_drain(Session *session, const VolumeRow *row, Error *error);
/* Move everything that waits, of a volume, into ``items``; the caller holds the volume lock. */
bool reclaim_take(Store *store, uint64_t volume, Supersededs *items);
size_t reclaim_waiting_count(Store *store);
size_t reclaim_volumes(Store *store, uint64_t *volumes, size_t room);
void reclaim_forget(Store *store);

/* --- walks (walk.c) ----------------------------------------------------------------------------------------------- */
/* Add the slots born after ``born_after`` that ``version`` reaches and ``other`` does not: they die there. */
bool walk_only_in(Store *store, const Version *version, const Version *other, uint64_t born_after, Supersededs *found,
                  Error *error);

/* --- handles and transactions (volume.c) -------------------------------------------------------------------------- */
typedef struct Transaction {
    Version base;
    uint64_t new_version;
    uint64_t size_bytes;
    uint64_t inherited_count; /* pages from this number on are not the base's */
    Editor editor;
    Map staged; /* page -> 4096 bytes */
    Slots taken;
    Slots fresh, run; /* room for what a commit takes */
    Supersededs kept; /* and for what it supersedes */
    bool counter_moved; /* SQLite has moved the change counter, so a version must be published */
    bool is_over;
} Transaction;

#define COPIED_PAGES 2048
#define TEND_SLOTS 1024 /* see vfs/storage/reader.py */

struct Handle {
    Store *store;
    Session *session;
    VolumeRow row;
    VolumeRecord *shared;
    uint64_t id, epoch;
    Version version;
    int depth;
    uint32_t last_page; /* read or fetched last */
    uint32_t copied[COPIED_PAGES]; /* pages that SQLite had better read than fetch */
    bool read_only, is_writing, has_published;
    bool is_tend_due; /* a retained past has grown by TEND_SLOTS */
    uint64_t move_count;
    Transaction transaction;
    uint8_t *spare_pages[64];
    int spare_count;
    int history_fd;
    void *owner; /* of the hooks */
};

enum { DURABILITY_OFF, DURABILITY_NORMAL, DURABILITY_FULL };

Handle *handle_open(Store *store, const VolumeRow *row, bool read_only, void *owner, Error *error);
void handle_close(Handle *handle);
bool handle_pin(Handle *handle, Error *error);
bool handle_pin_as_of(Handle *handle, int64_t time_ns, Error *error);
void handle_unpin(Handle *handle);
uint64_t handle_size(const Handle *handle);
/* Read bytes of the pinned version, or of the transaction; ``*length`` is less than ``amount`` only at the end. */
bool handle_read(Handle *handle, void *buffer, size_t amount, uint64_t offset, size_t *length, Error *error);
/* Whether SQLite had better read a page than fetch it: the pages of a scan, one after the other, which a processor reads
** ahead while it copies, and interior pages of b-trees, which SQLite parses once then and not in every search. */
static inline bool is_better_read(const Handle *handle, uint32_t page)
{
    return page == handle->last_page + 1 || handle->copied[page % COPIED_PAGES] == page;
}

/* A pointer into the mapped pool for whole pages; NULL if they have to be read. */
const uint8_t *handle_fetch(Handle *handle, uint64_t offset, size_t amount);
bool handle_begin_write(Handle *handle, Error *error);
bool handle_write(Handle *handle, const void *data, size_t amount, uint64_t offset, Error *error);
bool handle_truncate(Handle *handle, uint64_t size_bytes, Error *error);
bool handle_is_unchanged(const Handle *handle);
bool handle_publish(Handle *handle, int durability, Error *error);
void handle_end(Handle *handle);
bool handle_is_being_written(Handle *handle);

extern size_t staged_pages_max;
extern uint32_t session_rows_max;
extern double lock_patience_s;

#endif
