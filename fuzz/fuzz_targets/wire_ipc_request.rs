//! See [`ferrosync_fuzz::wire_ipc_request`].

#![cfg_attr(fuzzing, no_main)]

ferrosync_fuzz::target!(ferrosync_fuzz::wire_ipc_request);
