package sim

import "github.com/tidwall/gjson"

// respond serves OpenAI's Responses API.
func respond(c *call) {
	if before := gjson.GetBytes(c.body, "previous_response_id").String(); before != "" {
		if _, err := c.bound(before); err != nil {
			c.reply(jsonAnswer(400, object{"error": object{
				"message": "Previous response with id '" + before + "' not found.",
				"type":    "invalid_request_error", "param": "previous_response_id", "code": "previous_response_not_found"}}))
			return
		}
	}
	id, item := "resp_"+c.id, "msg_"+c.id
	if store := gjson.GetBytes(c.body, "store"); !store.Exists() || store.Bool() {
		c.bind(id)
	}
	part := object{"type": "output_text", "text": c.text(), "annotations": []any{}}
	message := object{"id": item, "type": "message", "status": "completed", "role": "assistant", "content": []object{part}}
	whole := c.response(id, "completed", []object{message})
	whole["usage"] = object{
		"input_tokens": c.in, "input_tokens_details": object{"cached_tokens": 0},
		"output_tokens": c.out, "output_tokens_details": object{"reasoning_tokens": 0}, "total_tokens": c.in + c.out,
	}
	if !c.streams() {
		c.ok(whole)
		return
	}
	s, number := c.openStream(), 0
	event := func(kind string, o object) {
		o["type"], o["sequence_number"] = kind, number
		number++
		s.event(kind, o)
	}
	at := func(o object) object {
		o["item_id"], o["output_index"], o["content_index"] = item, 0, 0
		return o
	}
	started := c.response(id, "in_progress", []object{})
	event("response.created", object{"response": started})
	event("response.in_progress", object{"response": started})
	event("response.output_item.added", object{"output_index": 0, "item": object{
		"id": item, "type": "message", "status": "in_progress", "role": "assistant", "content": []any{}}})
	event("response.content_part.added", at(object{"part": object{"type": "output_text", "text": "", "annotations": []any{}}}))
	s.each(func(piece string) { event("response.output_text.delta", at(object{"delta": piece})) })
	event("response.output_text.done", at(object{"text": c.text()}))
	event("response.content_part.done", at(object{"part": part}))
	event("response.output_item.done", object{"output_index": 0, "item": message})
	event("response.completed", object{"response": whole})
}

func (c *call) response(id, status string, output []object) object {
	return object{"id": id, "object": "response", "created_at": c.now.Unix(), "status": status, "model": c.model,
		"output": output, "error": nil, "incomplete_details": nil, "usage": nil}
}

// readResponse gives back a stored response, to the account that made it.
func readResponse(c *call) {
	id := c.r.PathValue("id")
	b, err := c.bound(id)
	if err != nil {
		c.reply(openaiError(404, "invalid_request_error", "", "Response with id '"+id+"' not found.")(c))
		return
	}
	c.model = b.model
	c.ok(c.response(id, "completed", []object{}))
}
