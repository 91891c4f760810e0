package app

import "github.com/qbranch/qbranch/store"

// BytesText is a number of bytes as people read it, in decimal units: "1.79 GB".
func BytesText(n int64) string { return store.BytesText(n) }
