//! See [`ferrosync_fuzz::ipc_ring`].

#![cfg_attr(fuzzing, no_main)]

ferrosync_fuzz::target!(ferrosync_fuzz::ipc_ring);
