package sim

import "github.com/tidwall/gjson"

// uploadFile keeps a file for the account that sent it.
func uploadFile(c *call) {
	id := "file-" + c.id[:22]
	c.bind(id)
	c.ok(c.file(id))
}

func (c *call) file(id string) object {
	return object{"id": id, "object": "file", "bytes": len(c.body), "created_at": c.now.Unix(), "filename": "upload", "purpose": "user_data"}
}

// readFile shows a file to its account, and to no other.
func readFile(c *call) {
	if id := c.r.PathValue("id"); c.knows(id) {
		c.ok(c.file(id))
	}
}

func deleteFile(c *call) {
	id := c.r.PathValue("id")
	if !c.knows(id) {
		return
	}
	c.u.mu.Lock()
	delete(c.u.bindings, id)
	c.u.mu.Unlock()
	c.ok(object{"id": id, "object": "file", "deleted": true})
}

// knows reports whether the account has a file; else it has answered.
func (c *call) knows(id string) bool {
	if _, err := c.bound(id); err != nil {
		c.reply(openaiError(404, "invalid_request_error", "", "No such File object: "+id)(c))
		return false
	}
	return true
}

// hasFiles reports whether the account has the files that a chat names; else it
// has answered.
func (c *call) hasFiles() bool {
	for _, part := range gjson.GetBytes(c.body, "messages.#.content.#.file.file_id|@flatten").Array() {
		if !c.knows(part.Str) {
			return false
		}
	}
	return true
}
