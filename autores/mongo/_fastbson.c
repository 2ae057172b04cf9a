/* Encodes the documents that JSON makes as BSON, as bson.encode does, in a quarter of its time.
 *
 * Knows dict, list, str, int, float, bool, None and datetime (naive, or in datetime.timezone.utc),
 * none of their subclasses. Everything else, and what BSON cannot hold, is refused: the caller asks
 * bson.encode then, which encodes it or says what is wrong. Nothing here runs Python code, so that
 * no document changes while it is read.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <datetime.h>
#include <stdint.h>
#include <string.h>

#if PY_BIG_ENDIAN
#error "BSON is little-endian, and so must be the machine."
#endif

enum {
    DOUBLE = 0x01,
    STRING = 0x02,
    DOCUMENT = 0x03,
    ARRAY = 0x04,
    BOOLEAN = 0x08,
    DATE = 0x09,
    NOTHING = 0x0A,
    INT32 = 0x10,
    INT64 = 0x12
};

/* The server takes 180 levels, of which the document around has some. */
#define DEEPEST 100
#define FIRST_CAPACITY 2048
#define INDEX_DIGITS 20

typedef struct {
    char *bytes;
    size_t length;
    size_t capacity;
} Buffer;

static PyObject *Refused;

static int refuse(const char *why)
{
    PyErr_SetString(Refused, why);
    return -1;
}

/* Room for so many more bytes, to be written at the end of the buffer; NULL with an error set. */
static char *reserve(Buffer *buffer, size_t more)
{
    size_t needed = buffer->length + more;
    if (needed > INT32_MAX) {
        refuse("longer than a document can be");
        return NULL;
    }
    if (needed > buffer->capacity) {
        size_t capacity = buffer->capacity;
        while (capacity < needed)
            capacity *= 2;
        char *bytes = PyMem_Realloc(buffer->bytes, capacity);
        if (bytes == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        buffer->bytes = bytes;
        buffer->capacity = capacity;
    }
    char *room = buffer->bytes + buffer->length;
    buffer->length = needed;
    return room;
}

static int write_bytes(Buffer *buffer, const void *bytes, size_t length)
{
    char *room = reserve(buffer, length);
    if (room == NULL)
        return -1;
    memcpy(room, bytes, length);
    return 0;
}

/* The type of a value, and its name with the NUL that ends it. */
static int write_head(Buffer *buffer, int type, const char *name, size_t length)
{
    char *room = reserve(buffer, length + 2);
    if (room == NULL)
        return -1;
    room[0] = (char)type;
    memcpy(room + 1, name, length);
    room[length + 1] = '\0';
    return 0;
}

/* The UTF-8 of a str; NULL with Refused set where it has none. */
static const char *read_text(PyObject *text, size_t *length)
{
    Py_ssize_t size;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &size);
    if (bytes == NULL) {
        if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
            PyErr_Clear();
            refuse("a lone surrogate");
        }
        return NULL;
    }
    *length = (size_t)size;
    return bytes;
}

/* Days since 1970-01-01 of the Gregorian calendar; the year begins in March, as its leap day is
 * the last one then. */
static int64_t count_days(int year, int month, int day)
{
    int64_t years = month <= 2 ? year - 1 : year;
    int64_t era = years / 400;
    int64_t year_of_era = years % 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year
           - 719468;
}

static int write_date(Buffer *buffer, const char *name, size_t length, PyObject *moment)
{
    PyObject *zone = PyDateTime_DATE_GET_TZINFO(moment);
    if (zone != Py_None && zone != PyDateTime_TimeZone_UTC)
        return refuse("a time in another zone");
    int64_t seconds = count_days(PyDateTime_GET_YEAR(moment), PyDateTime_GET_MONTH(moment),
                                 PyDateTime_GET_DAY(moment)) * 86400
                      + PyDateTime_DATE_GET_HOUR(moment) * 3600
                      + PyDateTime_DATE_GET_MINUTE(moment) * 60
                      + PyDateTime_DATE_GET_SECOND(moment);
    int64_t milliseconds = seconds * 1000 + PyDateTime_DATE_GET_MICROSECOND(moment) / 1000;
    if (write_head(buffer, DATE, name, length) < 0)
        return -1;
    return write_bytes(buffer, &milliseconds, sizeof milliseconds);
}

static int write_number(Buffer *buffer, const char *name, size_t length, PyObject *number)
{
    int overflow;
    int64_t value = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (overflow)
        return refuse("an integer of more than 64 bits");
    if (value >= INT32_MIN && value <= INT32_MAX) {
        int32_t small = (int32_t)value;
        if (write_head(buffer, INT32, name, length) < 0)
            return -1;
        return write_bytes(buffer, &small, sizeof small);
    }
    if (write_head(buffer, INT64, name, length) < 0)
        return -1;
    return write_bytes(buffer, &value, sizeof value);
}

static int write_text(Buffer *buffer, const char *name, size_t length, PyObject *text)
{
    size_t size;
    const char *bytes = read_text(text, &size);
    if (bytes == NULL || write_head(buffer, STRING, name, length) < 0)
        return -1;
    char *room = size < INT32_MAX ? reserve(buffer, size + 5) : NULL;
    if (room == NULL)
        return PyErr_Occurred() ? -1 : refuse("longer than a document can be");
    int32_t counted = (int32_t)(size + 1);
    memcpy(room, &counted, sizeof counted);
    memcpy(room + 4, bytes, size);
    room[size + 4] = '\0';
    return 0;
}

static int write_items(Buffer *buffer, PyObject *list, int levels);
static int write_fields(Buffer *buffer, PyObject *dict, int levels);

static int write_value(Buffer *buffer, const char *name, size_t length, PyObject *value, int levels)
{
    if (PyUnicode_CheckExact(value))
        return write_text(buffer, name, length, value);
    if (value == Py_None)
        return write_head(buffer, NOTHING, name, length);
    if (PyBool_Check(value)) {
        char flag = value == Py_True;
        if (write_head(buffer, BOOLEAN, name, length) < 0)
            return -1;
        return write_bytes(buffer, &flag, 1);
    }
    if (PyLong_CheckExact(value))
        return write_number(buffer, name, length, value);
    if (PyDict_CheckExact(value)) {
        if (write_head(buffer, DOCUMENT, name, length) < 0)
            return -1;
        return write_fields(buffer, value, levels);
    }
    if (PyList_CheckExact(value)) {
        if (write_head(buffer, ARRAY, name, length) < 0)
            return -1;
        return write_items(buffer, value, levels);
    }
    if (PyFloat_CheckExact(value)) {
        double number = PyFloat_AS_DOUBLE(value);
        if (write_head(buffer, DOUBLE, name, length) < 0)
            return -1;
        return write_bytes(buffer, &number, sizeof number);
    }
    if (PyDateTime_CheckExact(value))
        return write_date(buffer, name, length, value);
    return refuse(Py_TYPE(value)->tp_name);
}

static int write_field(Buffer *buffer, PyObject *key, PyObject *value, int levels)
{
    size_t length;
    if (!PyUnicode_CheckExact(key))
        return refuse("a name that is no str");
    const char *name = read_text(key, &length);
    if (name == NULL)
        return -1;
    if (memchr(name, '\0', length) != NULL)
        return refuse("NUL in a name");
    return write_value(buffer, name, length, value, levels);
}

/* The place of a document's length, to be written once it is known. */
static int begin(Buffer *buffer, int levels, size_t *start)
{
    if (levels >= DEEPEST)
        return refuse("nested too deeply");
    *start = buffer->length;
    return reserve(buffer, sizeof(int32_t)) == NULL ? -1 : 0;
}

static int end(Buffer *buffer, size_t start)
{
    if (write_bytes(buffer, "", 1) < 0)
        return -1;
    int32_t length = (int32_t)(buffer->length - start);
    memcpy(buffer->bytes + start, &length, sizeof length);
    return 0;
}

static int write_fields(Buffer *buffer, PyObject *dict, int levels)
{
    size_t start;
    Py_ssize_t position = 0;
    PyObject *key, *value;
    if (begin(buffer, levels, &start) < 0)
        return -1;
    while (PyDict_Next(dict, &position, &key, &value)) {
        if (write_field(buffer, key, value, levels + 1) < 0)
            return -1;
    }
    return end(buffer, start);
}

static int write_items(Buffer *buffer, PyObject *list, int levels)
{
    size_t start;
    if (begin(buffer, levels, &start) < 0)
        return -1;
    for (Py_ssize_t index = 0; index < PyList_GET_SIZE(list); index++) {
        char digits[INDEX_DIGITS];
        char *name = digits + sizeof digits;
        Py_ssize_t rest = index;
        do {
            *--name = (char)('0' + rest % 10);
            rest /= 10;
        } while (rest);
        size_t length = (size_t)(digits + sizeof digits - name);
        if (write_value(buffer, name, length, PyList_GET_ITEM(list, index), levels + 1) < 0)
            return -1;
    }
    return end(buffer, start);
}

static int write_all(Buffer *buffer, PyObject *dict, const char *tail, size_t tail_length)
{
    size_t start;
    Py_ssize_t position = 0;
    PyObject *key, *value;
    /* bson.encode writes the key of a document first, wherever it stands. */
    PyObject *id = PyDict_GetItemString(dict, "_id");
    if (begin(buffer, 0, &start) < 0)
        return -1;
    if (id != NULL && write_value(buffer, "_id", 3, id, 1) < 0)
        return -1;
    while (PyDict_Next(dict, &position, &key, &value)) {
        if (value == id && PyUnicode_CheckExact(key)
            && PyUnicode_CompareWithASCIIString(key, "_id") == 0)
            continue;
        if (write_field(buffer, key, value, 1) < 0)
            return -1;
    }
    if (write_bytes(buffer, tail, tail_length) < 0)
        return -1;
    return end(buffer, start);
}

PyDoc_STRVAR(encode_doc,
"encode(document, tail=b'', /)\n--\n\n"
"The document as bson.encode gives it, with ``tail``, fields in BSON, at its end.\n\n"
"Raises Refused for what only bson.encode knows, or nobody.");

static PyObject *encode(PyObject *module, PyObject *args)
{
    PyObject *document;
    const char *tail = "";
    Py_ssize_t tail_length = 0;
    if (!PyArg_ParseTuple(args, "O!|y#:encode", &PyDict_Type, &document, &tail, &tail_length))
        return NULL;
    Buffer buffer = {PyMem_Malloc(FIRST_CAPACITY), 0, FIRST_CAPACITY};
    if (buffer.bytes == NULL)
        return PyErr_NoMemory();
    PyObject *encoded = NULL;
    if (write_all(&buffer, document, tail, (size_t)tail_length) == 0)
        encoded = PyBytes_FromStringAndSize(buffer.bytes, (Py_ssize_t)buffer.length);
    PyMem_Free(buffer.bytes);
    return encoded;
}

static PyMethodDef methods[] = {
    {"encode", encode, METH_VARARGS, encode_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_fastbson",
    .m_doc = "BSON of what JSON makes, by C.",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__fastbson(void)
{
    PyDateTime_IMPORT;
    if (PyDateTimeAPI == NULL)
        return NULL;
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    Refused = PyErr_NewExceptionWithDoc("autores.mongo._fastbson.Refused",
                                        "This encoder does not know the value.",
                                        PyExc_TypeError, NULL);
    if (Refused == NULL || PyModule_AddObjectRef(module, "Refused", Refused) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
