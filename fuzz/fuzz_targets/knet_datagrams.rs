//! See [`ferrosync_fuzz::knet_datagrams`].

#![cfg_attr(fuzzing, no_main)]

ferrosync_fuzz::target!(ferrosync_fuzz::knet_datagrams);
