package hub

import "time"

// KeptHead returns the first bytes of a listed file, if KeepHead has kept them. It
// sends nothing. Their digest is not that of the file, so they are what this hub,
// and no other, said of it.
func (c *Client) KeptHead(f File) ([]byte, bool) {
	e, ok := c.cache.get(c.headKey(f))
	return e.body, ok && int64(len(e.body)) <= f.Size
}

// KeepHead keeps the first bytes of a listed file, such as the header of weights,
// for KeptHead. What is too large for the cache is not kept.
func (c *Client) KeepHead(f File, head []byte) {
	c.cache.put(cached{Key: c.headKey(f), Time: time.Now().Unix(), body: head})
}

// headKey is what the cache calls the first bytes of a file.
func (c *Client) headKey(f File) string { return "head " + c.Endpoint() + " " + f.cacheKey() }

// Keep keeps the content of a listed file as if it had been read. It reports
// whether the content has the listed digest; any other is not kept.
func (c *Client) Keep(f File, data []byte) bool {
	_, _, ok := f.check(data)
	if ok {
		c.cache.put(cached{Key: f.cacheKey(), Time: time.Now().Unix(), body: data})
	}
	return ok
}
