//! See [`ferrosync_fuzz::ipc_handshake`].

#![cfg_attr(fuzzing, no_main)]

ferrosync_fuzz::target!(ferrosync_fuzz::ipc_handshake);
