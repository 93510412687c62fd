//! A web server that misbehaves on request, for tests.
