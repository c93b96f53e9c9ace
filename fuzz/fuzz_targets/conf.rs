//! See [`ferrosync_fuzz::conf`].

#![cfg_attr(fuzzing, no_main)]

ferrosync_fuzz::target!(ferrosync_fuzz::conf);
