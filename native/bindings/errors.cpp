// The core's exceptions as Python's. Messages hold paths, which need not be UTF-8.
#include <nanobind/stl/string.h>

#include <exception>
#include <string>
#include <system_error>

#include "bindings/module.hpp"
#include "suffix_array/error.hpp"

namespace potstill {
namespace {

namespace nb = nanobind;

void set_error(PyObject* type, const char* message) {
    PyObject* text = PyUnicode_DecodeFSDefault(message);
    if (text == nullptr) return;
    PyErr_SetObject(type, text);
    Py_DECREF(text);
}

void set_os_error(int code, const std::string& file) {
    PyObject* text = PyUnicode_DecodeFSDefault(std::generic_category().message(code).c_str());
    PyObject* path = PyUnicode_DecodeFSDefaultAndSize(file.data(), static_cast<Py_ssize_t>(file.size()));
    PyObject* arguments = text && path ? Py_BuildValue("(iOO)", code, text, path) : nullptr;
    // OSError itself picks the subclass of an errno, FileNotFoundError for example, when it is called.
    PyObject* error = arguments ? PyObject_CallObject(PyExc_OSError, arguments) : nullptr;
    if (error) PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error)), error);
    Py_XDECREF(error);
    Py_XDECREF(arguments);
    Py_XDECREF(path);
    Py_XDECREF(text);
}

template <typename Error>
void translate(const std::exception_ptr& thrown, void* type) {
    try {
        std::rethrow_exception(thrown);
    } catch (const Error& error) {
        set_error(static_cast<PyObject*>(type), error.what());
    }
}

void translate_refusal(const std::exception_ptr& thrown, void*) {
    try {
        std::rethrow_exception(thrown);
    } catch (const FileRefused& error) {
        set_os_error(error.code().value(), error.file());
    } catch (const std::system_error& error) {
        set_error(PyExc_OSError, error.what());
    }
}

template <typename Error>
void bind_error(nb::module_& m, const char* name, const char* doc) {
    // Of the module as it was imported: the stub is made from one without a package.
    const std::string full_name = nb::cast<std::string>(m.attr("__name__")) + "." + name;
    PyObject* type = PyErr_NewExceptionWithDoc(full_name.c_str(), doc, PyExc_Exception, nullptr);
    if (type == nullptr) throw nb::python_error();
    m.attr(name) = nb::handle(type);
    // The translator keeps the reference that the name was made with, for as long as the process lives.
    nb::register_exception_translator(&translate<Error>, type);
}

}  // namespace

void bind_errors(nb::module_& m) {
    bind_error<DamagedFile>(m, "DamagedFileError",
                            "A file of an index is not what was written; says which and at which byte.");
    bind_error<Cancelled>(m, "CancelledError", "The call ended early because its Work was cancelled.");
    nb::register_exception_translator(&translate<PartTooLarge>, PyExc_MemoryError);
    nb::register_exception_translator(&translate_refusal);
}

}  // namespace potstill
