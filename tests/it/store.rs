//! Conformance of the store's engines.
