/* The Python module ``vfs._native``: the only file of the data plane that knows Python.
**
** Hooks call methods of *owners*, objects of vfs/native.py.  A hook that raises leaves its exception in the thread
** (E_RAISED) until the error is reported: to the caller of a method here, or to SQLite's caller (apsw keeps an exception
** that is set when a VFS returns).
*/
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "vfs.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

/* Number of the interface to vfs/native.py, which has the same: change both whenever a call or its meaning changes. */
#define INTERFACE 5

extern const sqlite3_api_routines *loaded_api;

static PyObject *make_version, *report_error, *reach_point;       /* functions of vfs/native.py */
static PyObject *replaced_write, *replaced_sync, *replaced_clock; /* of vfs.storage.device.CALLS, in tests */
static PyObject *error_classes;                                   /* a tuple, by Kind */

/* --- calling Python ----------------------------------------------------------------------------------------------- */
typedef struct Calling {
    PyGILState_STATE state;
    PyObject *type, *value, *traceback;
} Calling;

static void enter(Calling *calling)
{
    calling->state = PyGILState_Ensure();
    PyErr_Fetch(&calling->type, &calling->value, &calling->traceback); /* of an error that is on its way */
}

static void leave(Calling *calling)
{
    if (calling->type) PyErr_Restore(calling->type, calling->value, calling->traceback);
    PyGILState_Release(calling->state);
}

static bool raised(Error *error)
{
    error->kind = E_RAISED;
    error->number = 0;
    error->text[0] = 0;
    return false;
}

/* Call a method of an owner; with ``arguments``, a new reference, or NULL.  Returns a new reference, or NULL. */
static PyObject *call(void *owner, const char *method, PyObject *arguments)
{
    PyObject *function = PyObject_GetAttrString(owner, method), *result = NULL;
    PyObject *none = arguments ? NULL : PyTuple_New(0);
    if (function && (arguments || none)) result = PyObject_CallObject(function, arguments ? arguments : none);
    Py_XDECREF(function);
    Py_XDECREF(none);
    Py_XDECREF(arguments);
    return result;
}

/* Call a method whose result does not matter, with arguments as of Py_BuildValue: the whole of most hooks. */
static bool notify(void *owner, Error *error, const char *method, const char *format, ...)
{
    Calling calling;
    enter(&calling);
    va_list values;
    va_start(values, format);
    PyObject *result = call(owner, method, Py_VaBuildValue(format, values));
    va_end(values);
    Py_XDECREF(result);
    bool done = result || raised(error);
    leave(&calling);
    return done;
}

/* Call a method where an error has no receiver: it is printed.  Returns a new reference, or NULL. */
static PyObject *call_or_print(void *owner, const char *method, PyObject *arguments)
{
    PyObject *result = call(owner, method, arguments);
    if (!result) PyErr_WriteUnraisable(owner);
    return result;
}

/* --- conversions -------------------------------------------------------------------------------------------------- */
static uint64_t number_at(PyObject *tuple, Py_ssize_t index)
{
    return PyLong_AsUnsignedLongLong(PyTuple_GetItem(tuple, index));
}

/* A larger number becomes UINT32_MAX, which no table and no pool reaches. */
static uint32_t number32_at(PyObject *tuple, Py_ssize_t index)
{
    uint64_t number = number_at(tuple, index);
    return number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
}

static bool parse_version(PyObject *tuple, Version *version)
{
    if (!PyTuple_Check(tuple) || PyTuple_Size(tuple) != 8) {
        PyErr_SetString(PyExc_TypeError, "BUG: a version record is expected");
        return false;
    }
    PyObject *root = PyTuple_GetItem(tuple, 7);
    version->volume = number_at(tuple, 0);
    version->version = number_at(tuple, 1);
    version->durable = number_at(tuple, 2);
    version->size_bytes = number_at(tuple, 3);
    version->slot_count = number_at(tuple, 4);
    version->own_count = PyLong_AsLongLong(PyTuple_GetItem(tuple, 5));
    version->time_ns = (int64_t)number_at(tuple, 6); /* on disk without a sign */
    version->root.slot = number32_at(root, 0);
    version->root.crc = (uint32_t)number_at(root, 1);
    version->root.birth = number_at(root, 2);
    return !PyErr_Occurred();
}

static PyObject *build_version(const Version *v)
{
    return PyObject_CallFunction(make_version, "KKKKKLL(IIK)", (unsigned long long)v->volume,
                                 (unsigned long long)v->version, (unsigned long long)v->durable,
                                 (unsigned long long)v->size_bytes, (unsigned long long)v->slot_count,
                                 (long long)v->own_count, (long long)v->time_ns, v->root.slot, v->root.crc,
                                 (unsigned long long)v->root.birth);
}

static bool parse_row(PyObject *tuple, VolumeRow *row)
{
    if (!PyTuple_Check(tuple) || PyTuple_Size(tuple) < 6) {
        PyErr_SetString(PyExc_TypeError, "BUG: a volume row is expected");
        return false;
    }
    row->volume = number_at(tuple, 0);
    row->table_index = number32_at(tuple, 1);
    row->head_slot = number32_at(tuple, 2);
    row->is_past = PyUnicode_CompareWithASCIIString(PyTuple_GetItem(tuple, 3), "past") == 0;
    return parse_version(PyTuple_GetItem(tuple, 5), &row->base);
}

/* Raise the exception for an error, unless it is on its way already. */
static PyObject *raise_error(const Error *error)
{
    if (error->kind == E_RAISED && PyErr_Occurred()) return NULL;
    if (error->kind == E_MEMORY) return PyErr_NoMemory();
    PyObject *class = PyTuple_GetItem(error_classes, error->kind);
    PyObject *exception = error->kind == E_OS ? PyObject_CallFunction(class, "is", error->number, error->text)
                                              : PyObject_CallFunction(class, "s", error->text);
    if (exception) PyErr_SetObject(class, exception);
    Py_XDECREF(exception);
    return NULL;
}

/* --- hooks of the store ------------------------------------------------------------------------------------------- */
static bool take_exception(Error *error);

/* A full device is an error of the data plane, which may do without the growth, and not an exception on its way. */
static bool hook_grow(Store *store, uint64_t count, Error *error)
{
    if (notify(store->owner, error, "grow", "(K)", (unsigned long long)count)) return true;
    PyGILState_STATE state = PyGILState_Ensure();
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyTuple_GetItem(error_classes, E_POOL_FULL))) take_exception(error);
    PyGILState_Release(state);
    return false;
}

static bool hook_durable_pins(Store *store, const VolumeRow *row, Pins *pins, Error *error)
{
    Calling calling;
    enter(&calling);
    PyObject *list = call(store->owner, "durable_pins", Py_BuildValue("(K)", (unsigned long long)row->volume));
    bool done = list != NULL;
    for (Py_ssize_t n = 0; done && n < PyList_Size(list); n++)
        done = pins_add(pins, PyLong_AsUnsignedLongLong(PyList_GetItem(list, n)));
    if (!list)
        raised(error);
    else if (!done)
        fail(error, E_MEMORY, "out of memory");
    Py_XDECREF(list);
    leave(&calling);
    return done;
}

static bool hook_bury(Store *store, uint32_t row)
{
    Calling calling;
    enter(&calling);
    PyObject *result = call_or_print(store->owner, "bury", Py_BuildValue("(I)", row));
    bool buried = result && PyObject_IsTrue(result) == 1;
    Py_XDECREF(result);
    leave(&calling);
    return buried;
}

static bool hook_require_resident(Store *store, uint32_t slot, uint32_t crc, Error *error)
{
    return notify(store->owner, error, "require_resident", "(II)", slot, crc);
}

static bool hook_failed(Store *store, const char *reason)
{
    Calling calling;
    enter(&calling);
    Py_XDECREF(call_or_print(store->owner, "failed", Py_BuildValue("(s)", reason)));
    leave(&calling);
    return true;
}

static bool hook_deliver_signals(Store *store, Error *error)
{
    return notify(store->owner, error, "deliver_signals", "()");
}

static void hook_released(void *owner)
{
    PyGILState_STATE state = PyGILState_Ensure();
    Py_XDECREF((PyObject *)owner);
    PyGILState_Release(state);
}

/* --- hooks of handles --------------------------------------------------------------------------------------------- */
static bool hook_before_write(Handle *handle, Error *error)
{
    return notify(handle->owner, error, "before_write", "()");
}

static void hook_on_close(Handle *handle)
{
    Calling calling;
    enter(&calling);
    Py_XDECREF(call_or_print(handle->owner, "on_close", NULL));
    leave(&calling);
}

static bool hook_begins_publishing(Handle *handle, Error *error)
{
    Calling calling;
    enter(&calling);
    PyObject *row = call(handle->owner, "begins_publishing", NULL);
    if (row) __atomic_store_n(&handle->store->keeper_row, (uint32_t)PyLong_AsUnsignedLong(row), __ATOMIC_RELAXED);
    bool done = (row && !PyErr_Occurred()) || raised(error);
    Py_XDECREF(row);
    leave(&calling);
    return done;
}

static bool take_row(PyObject *result, VolumeRow *row, bool *found, Error *error)
{
    *found = result && result != Py_None;
    bool done = result && (!*found || parse_row(result, row));
    Py_XDECREF(result);
    return done || raised(error);
}

static bool hook_successor(Handle *handle, bool follows, VolumeRow *row, bool *found, Error *error)
{
    Calling calling;
    enter(&calling);
    PyObject *arguments = Py_BuildValue("(Ki)", (unsigned long long)handle->epoch, (int)follows);
    bool done = take_row(call(handle->owner, "successor", arguments), row, found, error);
    leave(&calling);
    return done;
}

static bool hook_reread(Handle *handle, VolumeRow *row, bool *found, Error *error)
{
    Calling calling;
    enter(&calling);
    bool done = take_row(call(handle->owner, "reread", NULL), row, found, error);
    leave(&calling);
    return done;
}

static bool take_record(PyObject *result, Version *record, bool *found, Error *error)
{
    *found = result && result != Py_None;
    bool done = result && (!*found || parse_version(result, record));
    Py_XDECREF(result);
    return done || raised(error);
}

static bool hook_find_record(Handle *handle, uint64_t version, Version *record, bool *found, Error *error)
{
    Calling calling;
    enter(&calling);
    PyObject *arguments = Py_BuildValue("(K)", (unsigned long long)version);
    bool done = take_record(call(handle->owner, "find_record", arguments), record, found, error);
    leave(&calling);
    return done;
}

static bool hook_newest_at(Handle *handle, int64_t time_ns, uint64_t first, uint64_t last, Version *record,
                           bool *found, Error *error)
{
    Calling calling;
    enter(&calling);
    PyObject *arguments =
        Py_BuildValue("(LKK)", (long long)time_ns, (unsigned long long)first, (unsigned long long)last);
    bool done = take_record(call(handle->owner, "newest_at", arguments), record, found, error);
    leave(&calling);
    return done;
}

static bool hook_seal(Handle *handle, Error *error)
{
    return notify(handle->owner, error, "seal", "()");
}

static bool hook_wipe_stale_record(Handle *handle, uint64_t published, Error *error)
{
    return notify(handle->owner, error, "wipe_stale_record", "(K)", (unsigned long long)published);
}

static bool hook_history_file(Handle *handle, int *fd, Error *error)
{
    Calling calling;
    enter(&calling);
    PyObject *result = call(handle->owner, "history_file", NULL);
    if (result) *fd = (int)PyLong_AsLong(result);
    bool done = (result && !PyErr_Occurred()) || raised(error);
    Py_XDECREF(result);
    leave(&calling);
    return done;
}

static bool hook_mend(Handle *handle, uint32_t page, uint32_t slot, uint32_t crc, Error *error)
{
    return notify(handle->owner, error, "mend", "(III)", page, slot, crc);
}

static const Hooks store_hooks = {
    .grow = hook_grow,
    .durable_pins = hook_durable_pins,
    .bury = hook_bury,
    .before_write = hook_before_write,
    .on_close = hook_on_close,
    .begins_publishing = hook_begins_publishing,
    .successor = hook_successor,
    .find_record = hook_find_record,
    .newest_at = hook_newest_at,
    .reread = hook_reread,
    .seal = hook_seal,
    .wipe_stale_record = hook_wipe_stale_record,
    .history_file = hook_history_file,
    .require_resident = hook_require_resident,
    .mend = hook_mend,
    .failed = hook_failed,
    .deliver_signals = hook_deliver_signals,
    .released = hook_released,
};

/* --- calls and points that tests replace -------------------------------------------------------------------------- */
/* An exception of a replaced call as the error that the call itself would have been. */
static bool take_exception(Error *error)
{
    PyObject *type, *value, *traceback;
    if (!PyErr_ExceptionMatches(PyTuple_GetItem(error_classes, E_POOL_FULL)) &&
        !PyErr_ExceptionMatches(PyExc_OSError))
        return raised(error);
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    PyObject *number = PyObject_GetAttrString(value, "errno");
    PyErr_Clear();
    PyObject *text = number ? PyObject_GetAttrString(value, "strerror") : PyObject_Str(value);
    PyObject *encoded = text && PyUnicode_Check(text) ? PyUnicode_AsUTF8String(text) : NULL;
    PyErr_Clear();
    fail(error, number ? E_OS : E_POOL_FULL, "%s", encoded ? PyBytes_AsString(encoded) : "the call failed");
    if (number) error->number = PyLong_Check(number) ? (int)PyLong_AsLong(number) : 5;
    Py_XDECREF(encoded);
    Py_XDECREF(text);
    Py_XDECREF(number);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return false;
}

static bool hook_write(Store *store, int fd, const struct iovec *parts, int count, uint64_t offset, Error *error)
{
    (void)store;
    Calling calling;
    enter(&calling);
    PyObject *buffers = PyList_New(0), *result = NULL;
    for (int n = 0; buffers && n < count; n++) {
        PyObject *data = PyBytes_FromStringAndSize(parts[n].iov_base, (Py_ssize_t)parts[n].iov_len);
        if (data) PyList_Append(buffers, data);
        Py_XDECREF(data);
    }
    if (buffers) result = PyObject_CallFunction(replaced_write, "iOK", fd, buffers, (unsigned long long)offset);
    bool done = result || take_exception(error);
    Py_XDECREF(buffers);
    Py_XDECREF(result);
    leave(&calling);
    return done;
}

static bool hook_sync(Store *store, int fd, Error *error)
{
    (void)store;
    Calling calling;
    enter(&calling);
    PyObject *result = PyObject_CallFunction(replaced_sync, "i", fd);
    bool done = result || take_exception(error);
    Py_XDECREF(result);
    leave(&calling);
    return done;
}

static int64_t hook_now_ns(clockid_t clock)
{
    Calling calling;
    enter(&calling);
    PyObject *result = PyObject_CallFunction(replaced_clock, "i", (int)clock);
    int64_t now = result ? PyLong_AsLongLong(result) : 0;
    Py_XDECREF(result);
    if (PyErr_Occurred()) PyErr_WriteUnraisable(replaced_clock);
    leave(&calling);
    return now;
}

static bool hook_reach(const char *point, Error *error)
{
    Calling calling;
    enter(&calling);
    PyObject *result = PyObject_CallFunction(reach_point, "s", point);
    bool done = result || raised(error);
    Py_XDECREF(result);
    leave(&calling);
    return done;
}

/* --- the type Store ----------------------------------------------------------------------------------------------- */
typedef struct StoreObject {
    PyObject_HEAD
    Store *store;
} StoreObject;

static PyTypeObject *store_type, *vfs_type, *handle_type;

static PyObject *store_create(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"files", "is_durable", "read_only", "verify_reads", "owner", NULL};
    StoreFiles files = {0};
    int is_durable, read_only, verify_reads;
    PyObject *owner;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "(iiii)pppO", names, &files.pool, &files.map,
                                     &files.readers, &files.locks, &is_durable, &read_only, &verify_reads,
                                     &owner))
        return NULL;
    files.is_durable = is_durable;
    files.read_only = read_only;
    files.verify_reads = verify_reads;
    Error error = {0};
    Py_INCREF(owner);
    Store *store = store_open(&files, &store_hooks, owner, &error);
    if (!store) return raise_error(&error);
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    StoreObject *self = (StoreObject *)allocate(type, 0);
    if (self) self->store = store;
    return (PyObject *)self;
}

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static void store_dealloc(PyObject *self)
{
    Store *store = ((StoreObject *)self)->store;
    if (store) store_release(store);
    dealloc(self);
}

static Store *store_of(PyObject *self)
{
    return ((StoreObject *)self)->store;
}

static PyObject *list_of(const Supersededs *items)
{
    PyObject *list = PyList_New(0);
    for (size_t n = 0; list && n < items->count; n++) {
        Superseded item = items->at[n];
        PyObject *tuple =
            Py_BuildValue("(IKK)", item.slot, (unsigned long long)item.birth, (unsigned long long)item.death);
        if (!tuple || PyList_Append(list, tuple) < 0) Py_CLEAR(list);
        Py_XDECREF(tuple);
    }
    return list;
}

/* The slots that each of the versions reaches, and the next one does not. */
static PyObject *store_unshared(PyObject *self, PyObject *arguments)
{
    PyObject *versions, *list = NULL;
    unsigned long long born_after;
    Supersededs items = {0};
    Error error = {0};
    if (!PyArg_ParseTuple(arguments, "O!K", &PyList_Type, &versions, &born_after)) return NULL;
    Version version, next;
    Py_ssize_t count = PyList_Size(versions);
    bool done = count && parse_version(PyList_GetItem(versions, 0), &version);
    for (Py_ssize_t n = 1; done && n < count; n++, version = next) {
        if (!parse_version(PyList_GetItem(versions, n), &next)) break;
        done = walk_only_in(store_of(self), &version, &next, born_after, &items, &error);
    }
    if (!PyErr_Occurred()) list = done || !count ? list_of(&items) : raise_error(&error);
    superseded_free(&items);
    return list;
}

static PyObject *store_take_waiting(PyObject *self, PyObject *volume)
{
    Supersededs items = {0};
    uint64_t number = PyLong_AsUnsignedLongLong(volume);
    if (PyErr_Occurred()) return NULL;
    bool done = reclaim_take(store_of(self), number, &items);
    PyObject *list = done ? list_of(&items) : PyErr_NoMemory();
    superseded_free(&items);
    return list;
}

static PyObject *store_add_waiting(PyObject *self, PyObject *arguments)
{
    unsigned long long volume, durable;
    PyObject *list;
    Supersededs items = {0};
    if (!PyArg_ParseTuple(arguments, "KOK", &volume, &list, &durable)) return NULL;
    bool done = true;
    for (Py_ssize_t n = 0; done && n < PyList_Size(list); n++) {
        PyObject *item = PyList_GetItem(list, n);
        done = superseded_add(&items, (uint32_t)number_at(item, 0), number_at(item, 1), number_at(item, 2));
    }
    VolumeRow row = {.volume = volume};
    done = done && !PyErr_Occurred() && reclaim_enqueue(store_of(self), &row, &items, durable);
    superseded_free(&items);
    if (!done) return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    Py_RETURN_NONE;
}

static PyObject *store_waiting_count(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromSize_t(reclaim_waiting_count(store_of(self)));
}

static PyObject *store_waiting_volumes(PyObject *self, PyObject *unused)
{
    (void)unused;
    uint64_t volumes[512];
    size_t count = reclaim_volumes(store_of(self), volumes, 512);
    PyObject *list = PyList_New(0);
    for (size_t n = 0; list && n < count && n < 512; n++) {
        PyObject *number = PyLong_FromUnsignedLongLong(volumes[n]);
        if (!number || PyList_Append(list, number) < 0) Py_CLEAR(list);
        Py_XDECREF(number);
    }
    return list;
}

static PyObject *store_forget_waiting(PyObject *self, PyObject *unused)
{
    (void)unused;
    reclaim_forget(store_of(self));
    Py_RETURN_NONE;
}

static PyObject *store_forget_locks_method(PyObject *self, PyObject *unused)
{
    (void)unused;
    store_forget_locks(store_of(self));
    Py_RETURN_NONE;
}

static PyObject *store_close_sessions_method(PyObject *self, PyObject *unused)
{
    (void)unused;
    store_close_sessions(store_of(self));
    Py_RETURN_NONE;
}

static PyObject *store_fail(PyObject *self, PyObject *reason)
{
    Store *store = store_of(self);
    PyObject *encoded = PyUnicode_AsUTF8String(reason);
    if (!encoded) return NULL;
    store_set_failure(store, PyBytes_AsString(encoded));
    Py_DECREF(encoded);
    Py_RETURN_NONE;
}

static PyObject *store_handle(PyObject *self, PyObject *arguments);

static PyMethodDef store_methods[] = {
    {"handle", store_handle, METH_VARARGS, "handle(row, read_only, owner): open a handle on a volume."},
    {"unshared", store_unshared, METH_VARARGS, "unshared(versions, born_after): (slot, birth, death) of what dies where."},
    {"take_waiting", store_take_waiting, METH_O, "take_waiting(volume): (slot, birth, death) of every waiting slot"},
    {"add_waiting", store_add_waiting, METH_VARARGS, "add_waiting(volume, items, durable): take slots back."},
    {"waiting_count", store_waiting_count, METH_NOARGS, "The number of superseded slots that wait."},
    {"waiting_volumes", store_waiting_volumes, METH_NOARGS, "The volumes with waiting slots."},
    {"forget_waiting", store_forget_waiting, METH_NOARGS, "Forget all waiting slots."},
    {"forget_locks", store_forget_locks_method, METH_NOARGS, "In the child of a fork: close the copies of locks."},
    {"close_sessions", store_close_sessions_method, METH_NOARGS, "Close the sessions that no handle uses."},
    {"fail", store_fail, METH_O, "fail(reason): refuse writes from now on; an empty reason allows them again."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot store_slots[] = {
    {Py_tp_new, store_create},
    {Py_tp_dealloc, store_dealloc},
    {Py_tp_methods, store_methods},
    {Py_tp_doc, "An open store, as the data plane in C uses it."},
    {0, NULL},
};

static PyType_Spec store_spec = {"vfs._native.Store", sizeof(StoreObject), 0, Py_TPFLAGS_DEFAULT, store_slots};

/* --- the type Handle: also the transaction of the handle ---------------------------------------------------------- */
typedef struct HandleObject {
    PyObject_HEAD
    Handle *handle; /* NULL once it is closed */
    bool is_owner;
    PyObject *side; /* the owner of the hooks */
} HandleObject;

static PyObject *new_handle_object(Handle *handle, PyObject *side)
{
    allocfunc allocate = (allocfunc)PyType_GetSlot(handle_type, Py_tp_alloc);
    HandleObject *self = (HandleObject *)allocate(handle_type, 0);
    if (!self) return NULL;
    self->handle = handle;
    Py_XINCREF(side);
    self->side = side;
    return (PyObject *)self;
}

static Handle *handle_of(PyObject *self)
{
    Handle *handle = ((HandleObject *)self)->handle;
    if (!handle) PyErr_SetString(PyExc_ValueError, "the handle is closed");
    return handle;
}

static void handle_close_object(PyObject *self)
{
    HandleObject *object = (HandleObject *)self;
    Handle *handle = object->handle;
    object->handle = NULL;
    if (handle && object->is_owner) {
        Py_BEGIN_ALLOW_THREADS
        handle_close(handle);
        Py_END_ALLOW_THREADS
    }
}

static void handle_dealloc(PyObject *self)
{
    handle_close_object(self);
    Py_XDECREF(((HandleObject *)self)->side);
    dealloc(self);
}

/* Call ``action`` without the GIL; returns None, or raises its error. */
#define WITHOUT_GIL(action)                     \
    Error error = {0};                          \
    bool done;                                  \
    Py_BEGIN_ALLOW_THREADS                      \
    done = (action);                            \
    Py_END_ALLOW_THREADS                        \
    if (!done) return raise_error(&error)

static PyObject *handle_pin_method(PyObject *self, PyObject *unused)
{
    (void)unused;
    Handle *handle = handle_of(self);
    if (!handle) return NULL;
    WITHOUT_GIL(handle_pin(handle, &error));
    Py_RETURN_NONE;
}

static PyObject *handle_pin_as_of_method(PyObject *self, PyObject *time)
{
    Handle *handle = handle_of(self);
    int64_t time_ns = PyLong_AsLongLong(time);
    if (!handle || PyErr_Occurred()) return NULL;
    WITHOUT_GIL(handle_pin_as_of(handle, time_ns, &error));
    Py_RETURN_NONE;
}

static PyObject *handle_unpin_method(PyObject *self, PyObject *unused)
{
    (void)unused;
    Handle *handle = handle_of(self);
    if (!handle) return NULL;
    handle_unpin(handle);
    Py_RETURN_NONE;
}

static PyObject *handle_read_method(PyObject *self, PyObject *arguments)
{
    Handle *handle = handle_of(self);
    unsigned long long amount, offset;
    if (!handle || !PyArg_ParseTuple(arguments, "KK", &amount, &offset)) return NULL;
    uint64_t size = handle_size(handle);
    if (offset >= size)
        amount = 0;
    else if (amount > size - offset)
        amount = size - offset;
    PyObject *data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)amount);
    if (!data) return NULL;
    size_t length = 0;
    char *buffer = PyBytes_AsString(data);
    Error error = {0};
    bool done;
    Py_BEGIN_ALLOW_THREADS
    done = handle_read(handle, buffer, (size_t)amount, offset, &length, &error);
    Py_END_ALLOW_THREADS
    if (done) return data;
    Py_DECREF(data);
    return raise_error(&error);
}

static PyObject *handle_count_read(PyObject *self, PyObject *count)
{
    Handle *handle = handle_of(self);
    uint64_t more = PyLong_AsUnsignedLongLong(count);
    if (!handle || PyErr_Occurred()) return NULL;
    set_word(&handle->shared->read, get_word(&handle->shared->read) + more);
    Py_RETURN_NONE;
}

static PyObject *handle_begin_write_method(PyObject *self, PyObject *unused)
{
    (void)unused;
    Handle *handle = handle_of(self);
    if (!handle) return NULL;
    WITHOUT_GIL(handle_begin_write(handle, &error));
    Py_INCREF(self);
    return self;
}

static PyObject *handle_write_method(PyObject *self, PyObject *arguments)
{
    Handle *handle = handle_of(self);
    const char *data;
    Py_ssize_t length;
    unsigned long long offset;
    if (!handle || !PyArg_ParseTuple(arguments, "y#K", &data, &length, &offset)) return NULL;
    WITHOUT_GIL(handle_write(handle, data, (size_t)length, offset, &error));
    Py_RETURN_NONE;
}

static PyObject *handle_truncate_method(PyObject *self, PyObject *size)
{
    Handle *handle = handle_of(self);
    uint64_t size_bytes = PyLong_AsUnsignedLongLong(size);
    if (!handle || PyErr_Occurred()) return NULL;
    WITHOUT_GIL(handle_truncate(handle, size_bytes, &error));
    Py_RETURN_NONE;
}

static PyObject *handle_is_unchanged_method(PyObject *self, PyObject *unused)
{
    (void)unused;
    Handle *handle = handle_of(self);
    return handle ? PyBool_FromLong(handle_is_unchanged(handle)) : NULL;
}

static PyObject *handle_publish_method(PyObject *self, PyObject *durability)
{
    Handle *handle = handle_of(self);
    int level = (int)PyLong_AsLong(durability);
    if (!handle || PyErr_Occurred()) return NULL;
    WITHOUT_GIL(handle_publish(handle, level, &error));
    return build_version(&handle->version);
}

static PyObject *handle_end_method(PyObject *self, PyObject *unused)
{
    (void)unused;
    Handle *handle = handle_of(self);
    if (!handle) return NULL;
    Py_BEGIN_ALLOW_THREADS
    handle_end(handle);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *handle_is_being_written_method(PyObject *self, PyObject *unused)
{
    (void)unused;
    Handle *handle = handle_of(self);
    return handle ? PyBool_FromLong(handle_is_being_written(handle)) : NULL;
}

static PyObject *handle_close_method(PyObject *self, PyObject *unused)
{
    (void)unused;
    handle_close_object(self);
    Py_RETURN_NONE;
}

static PyObject *handle_size_bytes(PyObject *self, void *unused)
{
    (void)unused;
    Handle *handle = handle_of(self);
    return handle ? PyLong_FromUnsignedLongLong(handle_size(handle)) : NULL;
}

static PyObject *handle_new_version(PyObject *self, void *unused)
{
    (void)unused;
    Handle *handle = handle_of(self);
    return handle ? PyLong_FromUnsignedLongLong(handle->transaction.new_version) : NULL;
}

static PyObject *handle_move_count(PyObject *self, void *unused)
{
    (void)unused;
    Handle *handle = handle_of(self);
    return handle ? PyLong_FromUnsignedLongLong(handle->move_count) : NULL;
}

static PyObject *handle_take_tend_due(PyObject *self, PyObject *unused)
{
    (void)unused;
    Handle *handle = handle_of(self);
    if (!handle) return NULL;
    bool is_due = handle->is_tend_due;
    handle->is_tend_due = false;
    return PyBool_FromLong(is_due);
}

static PyMethodDef handle_methods[] = {
    {"pin", handle_pin_method, METH_NOARGS, NULL},
    {"pin_as_of", handle_pin_as_of_method, METH_O, NULL},
    {"unpin", handle_unpin_method, METH_NOARGS, NULL},
    {"read", handle_read_method, METH_VARARGS, NULL},
    {"count_read", handle_count_read, METH_O, NULL},
    {"begin_write", handle_begin_write_method, METH_NOARGS, NULL},
    {"is_being_written", handle_is_being_written_method, METH_NOARGS, NULL},
    {"take_tend_due", handle_take_tend_due, METH_NOARGS, NULL},
    {"write", handle_write_method, METH_VARARGS, NULL},
    {"truncate", handle_truncate_method, METH_O, NULL},
    {"is_unchanged", handle_is_unchanged_method, METH_NOARGS, NULL},
    {"publish", handle_publish_method, METH_O, NULL},
    {"end", handle_end_method, METH_NOARGS, NULL},
    {"close", handle_close_method, METH_NOARGS, NULL},
    {"abandon", handle_close_method, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef handle_properties[] = {
    {"size_bytes", handle_size_bytes, NULL, NULL, NULL},
    {"new_version", handle_new_version, NULL, NULL, NULL},
    {"move_count", handle_move_count, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot handle_slots[] = {
    {Py_tp_dealloc, handle_dealloc},
    {Py_tp_methods, handle_methods},
    {Py_tp_getset, handle_properties},
    {Py_tp_doc, "A handle on a volume, and its transaction: implements Handle and Transaction of vfs/abc.py."},
    {0, NULL},
};

static PyType_Spec handle_spec = {"vfs._native.Handle", sizeof(HandleObject), 0, Py_TPFLAGS_DEFAULT, handle_slots};

static PyObject *store_handle(PyObject *self, PyObject *arguments)
{
    PyObject *row, *side;
    int read_only;
    VolumeRow parsed;
    if (!PyArg_ParseTuple(arguments, "OpO", &row, &read_only, &side) || !parse_row(row, &parsed)) return NULL;
    Error error = {0};
    Handle *handle;
    Py_BEGIN_ALLOW_THREADS
    handle = handle_open(store_of(self), &parsed, read_only, side, &error);
    Py_END_ALLOW_THREADS
    if (!handle) return raise_error(&error);
    PyObject *object = new_handle_object(handle, side);
    if (object)
        ((HandleObject *)object)->is_owner = true;
    else
        handle_close(handle);
    return object;
}

/* --- hooks of the VFS --------------------------------------------------------------------------------------------- */
static bool parse_target(PyObject *answer, Store *store, Target *target)
{
    PyObject *row, *side, *passive;
    int read_only, has_gate, gate_row, has_copies;
    if (!PyArg_ParseTuple(answer, "OppiOpO", &row, &read_only, &has_gate, &gate_row, &passive, &has_copies, &side))
        return false;
    if (!parse_row(row, &target->row)) return false;
    target->read_only = read_only;
    target->has_gate = has_gate;
    target->has_copies = has_copies;
    target->gate_row = NULL;
    if (gate_row >= 0 && (uint32_t)gate_row < GATE_ROWS && PyBytes_Check(passive) && PyBytes_Size(passive) == ROW_BYTES) {
        target->gate_row = store->readers + GATE_TABLE_BYTE + (size_t)gate_row * ROW_BYTES;
        memcpy(target->gate_passive, PyBytes_AsString(passive), ROW_BYTES);
    }
    Py_INCREF(side);
    target->owner = side;
    return true;
}

static bool hook_open(Vfs *vfs, const char *name, bool read_only, Target *target, Error *error)
{
    Calling calling;
    enter(&calling);
    PyObject *answer = call(vfs->owner, "open", Py_BuildValue("(si)", name, (int)read_only));
    bool done = (answer && parse_target(answer, vfs->store, target)) || raised(error);
    Py_XDECREF(answer);
    leave(&calling);
    return done;
}

static bool hook_may_open(Vfs *vfs, const char *path, Error *error)
{
    Calling calling;
    enter(&calling);
    PyObject *decoded = PyUnicode_DecodeFSDefault(path);
    bool done = decoded ? notify(vfs->owner, error, "require_foreign", "(O)", decoded) : raised(error);
    Py_XDECREF(decoded);
    leave(&calling);
    return done;
}

/* Call a method of a file's gate, with a handle that is valid during the call. */
static bool pass_gate(File *file, const char *method, Error *error)
{
    Calling calling;
    enter(&calling);
    PyObject *handle = new_handle_object(file->handle, NULL);
    bool done = handle ? notify(file->target.owner, error, method, "(O)", handle) : raised(error);
    if (handle) ((HandleObject *)handle)->handle = NULL;
    Py_XDECREF(handle);
    leave(&calling);
    return done;
}

static bool hook_gate_pin(File *file, Error *error)
{
    return pass_gate(file, "gate_pin", error);
}

static bool hook_gate_unpin(File *file, Error *error)
{
    return pass_gate(file, "gate_unpin", error);
}

static bool hook_gate_before_read(File *file, Error *error)
{
    return pass_gate(file, "gate_before_read", error);
}

static bool hook_gate_before_commit(File *file, Error *error)
{
    return pass_gate(file, "gate_before_commit", error);
}

static bool hook_before_copies(File *file, Error *error)
{
    return notify(file->target.owner, error, "before_copies", "(i)", file->durability);
}

static bool hook_committed(File *file, Error *error)
{
    return notify(file->target.owner, error, "committed", "(i)", file->durability);
}

static bool hook_tend(File *file, Error *error)
{
    return notify(file->target.owner, error, "tend", "()");
}

static void hook_closed(Vfs *vfs, Target *target)
{
    (void)vfs;
    hook_released(target->owner);
    target->owner = NULL;
}

static int hook_report(Vfs *vfs, const char *name, const Error *error, bool in_commit)
{
    (void)vfs;
    Calling calling = {.state = PyGILState_Ensure()};
    PyObject *exception = NULL, *type, *traceback, *answer = NULL;
    int code = result_code(error);
    if (error->kind != E_RAISED) PyErr_Clear();
    raise_error(error);
    PyErr_Fetch(&type, &exception, &traceback);
    PyErr_NormalizeException(&type, &exception, &traceback);
    if (exception) {
        if (traceback) PyException_SetTraceback(exception, traceback);
        answer = PyObject_CallFunction(report_error, "sOO", name, exception, in_commit ? Py_True : Py_False);
    }
    Py_XDECREF(type);
    Py_XDECREF(exception);
    Py_XDECREF(traceback);
    if (answer) { /* (the exception to raise, or None; the result code) */
        PyObject *raises = PyTuple_GetItem(answer, 0);
        code = (int)PyLong_AsLong(PyTuple_GetItem(answer, 1));
        if (raises != Py_None) PyErr_SetObject((PyObject *)Py_TYPE(raises), raises);
    }
    Py_XDECREF(answer);
    PyGILState_Release(calling.state);
    return code;
}

static const VfsHooks vfs_hooks = {
    .open = hook_open,
    .may_open = hook_may_open,
    .gate_pin = hook_gate_pin,
    .gate_unpin = hook_gate_unpin,
    .gate_before_read = hook_gate_before_read,
    .gate_before_commit = hook_gate_before_commit,
    .before_copies = hook_before_copies,
    .committed = hook_committed,
    .tend = hook_tend,
    .closed = hook_closed,
    .released = hook_released,
    .report = hook_report,
};

/* --- the type VFS ------------------------------------------------------------------------------------------------- */
typedef struct VfsObject {
    PyObject_HEAD
    Vfs *vfs;
} VfsObject;

static PyObject *vfs_create(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"store", "name", "plain", "folder", "durability", "owner", NULL};
    PyObject *store, *owner;
    const char *name, *plain, *folder;
    int durability;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O!sssiO", names, store_type, &store, &name, &plain, &folder,
                                     &durability, &owner))
        return NULL;
    if (!loaded_api) {
        PyErr_SetString(PyExc_RuntimeError, "BUG: no SQLite has loaded this module as an extension");
        return NULL;
    }
    sqlite3_vfs *found = loaded_api->vfs_find(plain);
    if (!found) {
        PyErr_Format(PyExc_ValueError, "BUG: SQLite has no VFS '%s'", plain);
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    VfsObject *self = (VfsObject *)allocate(type, 0);
    if (!self) return NULL;
    Py_INCREF(owner);
    self->vfs = vfs_new(loaded_api, found, store_of(store), name, folder, durability, &vfs_hooks, owner);
    if (!self->vfs || vfs_register(self->vfs) != SQLITE_OK) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static PyObject *vfs_close_method(PyObject *self, PyObject *unused)
{
    (void)unused;
    VfsObject *object = (VfsObject *)self;
    if (object->vfs) {
        vfs_unregister(object->vfs);
        vfs_release(object->vfs);
        object->vfs = NULL;
    }
    Py_RETURN_NONE;
}

static void vfs_dealloc(PyObject *self)
{
    PyObject *result = vfs_close_method(self, NULL);
    Py_XDECREF(result);
    dealloc(self);
}

static void add_name(File *file, void *list)
{
    PyObject *name = PyUnicode_DecodeFSDefault(file->name);
    if (name) PyList_Append(list, name);
    Py_XDECREF(name);
}

static PyObject *vfs_open_names(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *list = PyList_New(0);
    VfsObject *object = (VfsObject *)self;
    if (list && object->vfs) vfs_each(object->vfs, add_name, list);
    return list;
}

static PyMethodDef vfs_methods[] = {
    {"close", vfs_close_method, METH_NOARGS, "Unregister the VFS."},
    {"open_names", vfs_open_names, METH_NOARGS, "The names of all open files."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot vfs_slots[] = {
    {Py_tp_new, vfs_create},
    {Py_tp_dealloc, vfs_dealloc},
    {Py_tp_methods, vfs_methods},
    {Py_tp_doc, "A SQLite VFS over a store, registered until it is closed."},
    {0, NULL},
};

static PyType_Spec vfs_spec = {"vfs._native.VFS", sizeof(VfsObject), 0, Py_TPFLAGS_DEFAULT, vfs_slots};

/* --- the module --------------------------------------------------------------------------------------------------- */
static PyObject *configure(PyObject *module, PyObject *arguments, PyObject *keywords)
{
    (void)module;
    static char *names[] = {"make_version", "report_error", "reach_point", "write_at", "sync", "now_ns", "error_classes", NULL};
    PyObject *functions[6], *classes;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "OOOOOOO!", names, &functions[0], &functions[1],
                                     &functions[2], &functions[3], &functions[4], &functions[5], &PyTuple_Type, &classes))
        return NULL;
    PyObject **places[] = {&make_version,   &report_error,  &reach_point,
                           &replaced_write, &replaced_sync, &replaced_clock};
    for (int n = 0; n < 6; n++) {
        Py_INCREF(functions[n]);
        Py_XDECREF(*places[n]);
        *places[n] = functions[n];
    }
    Py_INCREF(classes);
    Py_XDECREF(error_classes);
    error_classes = classes;
    reach_hook = hook_reach;
    Py_RETURN_NONE;
}

static PyObject *arm_points(PyObject *module, PyObject *armed)
{
    (void)module;
    points_armed = PyObject_IsTrue(armed) == 1;
    Py_RETURN_NONE;
}

static PyObject *replace_calls(PyObject *module, PyObject *replaced)
{
    (void)module;
    bool replaces = PyObject_IsTrue(replaced) == 1;
    calls.write = replaces ? hook_write : system_write;
    calls.sync = replaces ? hook_sync : system_sync;
    Py_RETURN_NONE;
}

static PyObject *replace_clock(PyObject *module, PyObject *replaced)
{
    (void)module;
    calls.now_ns = PyObject_IsTrue(replaced) == 1 ? hook_now_ns : system_now_ns;
    Py_RETURN_NONE;
}

static PyObject *set_limits(PyObject *module, PyObject *arguments)
{
    (void)module;
    unsigned long long pages;
    unsigned int sessions;
    double patience_s;
    if (!PyArg_ParseTuple(arguments, "KId", &pages, &sessions, &patience_s)) return NULL;
    staged_pages_max = (size_t)pages;
    session_rows_max = sessions < SESSION_ROWS ? sessions : SESSION_ROWS;
    lock_patience_s = patience_s;
    Py_RETURN_NONE;
}

static PyObject *crc32(PyObject *module, PyObject *data)
{
    (void)module;
    char *bytes;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(data, &bytes, &length) < 0) return NULL;
    return PyLong_FromUnsignedLong(crc32_of(bytes, (size_t)length));
}

static PyObject *begin_log_vfs(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    const char *name = loaded_api ? log_vfs_begin(loaded_api) : NULL;
    return name ? PyUnicode_FromString(name) : PyErr_NoMemory();
}

static PyObject *end_log_vfs(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    log_vfs_end(loaded_api);
    Py_RETURN_NONE;
}

static PyObject *fence(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    Py_RETURN_NONE;
}

/* swap(words, index, expected, value): replace a 64-bit word of a buffer that has the expected value. */
static PyObject *swap(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    (void)module;
    if (count != 4) return PyErr_Format(PyExc_TypeError, "swap() takes 4 arguments, not %zd", count);
    Py_buffer words;
    Py_ssize_t index = PyLong_AsSsize_t(arguments[1]);
    uint64_t expected = PyLong_AsUnsignedLongLong(arguments[2]), value = PyLong_AsUnsignedLongLong(arguments[3]);
    if (PyErr_Occurred() || PyObject_GetBuffer(arguments[0], &words, PyBUF_WRITABLE) < 0) return NULL;
    bool is_inside = index >= 0 && index < words.len / 8 && (uintptr_t)words.buf % 8 == 0;
    bool swapped = is_inside && swap_word((uint64_t *)words.buf + index, expected, value);
    PyBuffer_Release(&words);
    return is_inside ? PyBool_FromLong(swapped) : PyErr_Format(PyExc_IndexError, "BUG: there is no word %zd", index);
}

static PyMethodDef module_methods[] = {
    {"configure", (PyCFunction)(void (*)(void))configure, METH_VARARGS | METH_KEYWORDS, "Set what the module calls."},
    {"arm_points", arm_points, METH_O, "Whether named points call vfs.failpoints.reach."},
    {"replace_calls", replace_calls, METH_O, "Whether writes and syncs call vfs.storage.device."},
    {"replace_clock", replace_clock, METH_O, "Whether the clocks call those of vfs.storage.device.CALLS."},
    {"set_limits", set_limits, METH_VARARGS, "set_limits(staged pages of a transaction, sessions, patience with a lock in s)"},
    {"crc32", crc32, METH_O, "The crc32 of bytes."},
    {"begin_log_vfs", begin_log_vfs, METH_NOARGS, "Register the VFS that combines writes to logs; returns its name."},
    {"end_log_vfs", end_log_vfs, METH_NOARGS, "Unregister it; the databases that it has opened use it still."},
    {"fence", fence, METH_NOARGS, "Order earlier stores before later loads."},
    {"swap", (PyCFunction)(void (*)(void))swap, METH_FASTCALL, "swap(words, index, expected, value): whether it was."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "vfs._native", "The data plane in C.", -1,
                                        module_methods, NULL, NULL, NULL, NULL};

static PyTypeObject *add_type(PyObject *module, const char *name, PyType_Spec *spec)
{
    PyObject *type = PyType_FromSpec(spec);
    if (type) {
        Py_INCREF(type);
        if (PyModule_AddObject(module, name, type) < 0) Py_CLEAR(type);
    }
    return (PyTypeObject *)type;
}

PyMODINIT_FUNC PyInit__native(void);

PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (!module) return NULL;
    store_type = add_type(module, "Store", &store_spec);
    vfs_type = add_type(module, "VFS", &vfs_spec);
    handle_type = add_type(module, "Handle", &handle_spec);
    if (!store_type || !vfs_type || !handle_type || PyModule_AddIntConstant(module, "INTERFACE", INTERFACE) < 0 ||
        PyModule_AddStringConstant(module, "LOG_VFS_PLAIN", LOG_VFS_PLAIN) < 0 ||
        PyModule_AddStringConstant(module, "crc32_implementation", crc32_implementation()) < 0)
        Py_CLEAR(module);
    return module;
}
