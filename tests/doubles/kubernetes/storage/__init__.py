"""What etcd and the watch cache do: revisions, snapshots, history, compaction."""
