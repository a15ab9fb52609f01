/* The Python module vfs._native: empty, and not used yet.
**
** Only this file includes Python.h: everything else in this directory also has to work in a process without Python.
*/
#include <Python.h>

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "vfs._native",
    .m_doc = "The data plane in C.",
    .m_size = 0,
};

PyMODINIT_FUNC PyInit__native(void);

PyMODINIT_FUNC PyInit__native(void) {
    return PyModuleDef_Init(&definition);
}
