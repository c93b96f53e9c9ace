//! corosync.conf: bytes to a tree, the tree to typed values and configuration map keys.
