//! See [`ferrosync_fuzz::knet_packets`].

#![cfg_attr(fuzzing, no_main)]

ferrosync_fuzz::target!(ferrosync_fuzz::knet_packets);
