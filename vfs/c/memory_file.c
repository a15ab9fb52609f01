/* A rollback journal in memory: it never outlives its transaction, and so needs no disk. */
#include "vfs.h"

#include <stdlib.h>
#include <string.h>

typedef struct MemoryFile {
    sqlite3_file base;
    unsigned char *data;
    sqlite3_int64 size, room;
} MemoryFile;

const int memory_file_bytes = sizeof(MemoryFile);

static int memory_close(sqlite3_file *file)
{
    MemoryFile *memory = (MemoryFile *)file;
    free(memory->data);
    memory->data = NULL;
    memory->size = memory->room = 0;
    return SQLITE_OK;
}

static int memory_read(sqlite3_file *file, void *buffer, int amount, sqlite3_int64 offset)
{
    MemoryFile *memory = (MemoryFile *)file;
    sqlite3_int64 length = offset < memory->size ? memory->size - offset : 0;
    if (length > amount) length = amount;
    if (length) memcpy(buffer, memory->data + offset, (size_t)length);
    if (length == amount) return SQLITE_OK;
    memset((char *)buffer + length, 0, (size_t)(amount - length));
    return SQLITE_IOERR_SHORT_READ;
}

static int memory_write(sqlite3_file *file, const void *data, int amount, sqlite3_int64 offset)
{
    MemoryFile *memory = (MemoryFile *)file;
    sqlite3_int64 end = offset + amount;
    if (end > memory->room) {
        sqlite3_int64 room = memory->room ? memory->room : 8192;
        while (room < end) room *= 2;
        unsigned char *moved = realloc(memory->data, (size_t)room);
        if (!moved) return SQLITE_IOERR_NOMEM;
        memory->data = moved;
        memory->room = room;
    }
    if (offset > memory->size) memset(memory->data + memory->size, 0, (size_t)(offset - memory->size));
    memcpy(memory->data + offset, data, (size_t)amount);
    if (end > memory->size) memory->size = end;
    return SQLITE_OK;
}

static int memory_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    MemoryFile *memory = (MemoryFile *)file;
    if (size < memory->size) memory->size = size;
    return SQLITE_OK;
}

static int memory_sync(sqlite3_file *file, int flags)
{
    (void)file;
    (void)flags;
    return SQLITE_OK;
}

static int memory_size(sqlite3_file *file, sqlite3_int64 *size)
{
    *size = ((MemoryFile *)file)->size;
    return SQLITE_OK;
}

static int memory_lock(sqlite3_file *file, int level)
{
    (void)file;
    (void)level;
    return SQLITE_OK;
}

static int memory_is_reserved(sqlite3_file *file, int *result)
{
    (void)file;
    *result = 0;
    return SQLITE_OK;
}

static int memory_control(sqlite3_file *file, int operation, void *argument)
{
    (void)file;
    (void)operation;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int memory_sector(sqlite3_file *file)
{
    (void)file;
    return 4096;
}

static int memory_characteristics(sqlite3_file *file)
{
    (void)file;
    return 0;
}

static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = memory_close,
    .xRead = memory_read,
    .xWrite = memory_write,
    .xTruncate = memory_truncate,
    .xSync = memory_sync,
    .xFileSize = memory_size,
    .xLock = memory_lock,
    .xUnlock = memory_lock,
    .xCheckReservedLock = memory_is_reserved,
    .xFileControl = memory_control,
    .xSectorSize = memory_sector,
    .xDeviceCharacteristics = memory_characteristics,
};

void memory_file_open(sqlite3_file *file)
{
    memset(file, 0, sizeof(MemoryFile));
    file->pMethods = &methods;
}
