package ingest

import (
	"bytes"
	"encoding/json"
	"net/url"
)

// osmandRequest is a request of OsmAnd or Traccar Client, taken apart.
type osmandRequest struct {
	id    string     // who sends, and the proof of it at once
	form  url.Values // the parameters; nil: the body is JSON
	shown []byte     // the request without the id
	err   error      // the parameters are not well formed
}

// readOsmAnd takes the parameters from the query and from the body, unless that
// is the JSON of Traccar Client 9.
func readOsmAnd(query string, body []byte) osmandRequest {
	form, err := url.ParseQuery(query)
	if text := bytes.TrimSpace(body); len(text) > 0 && (text[0] == '{' || text[0] == '[') {
		request := osmandRequest{id: form.Get("id"), shown: body, err: err}
		var members map[string]json.RawMessage
		// What is no JSON has no id here, and goes no further.
		if json.Unmarshal(body, &members) == nil && json.Unmarshal(members["device_id"], &request.id) == nil {
			delete(members, "device_id")
			request.shown, request.err = json.Marshal(members)
		}
		return request
	}
	posted, postErr := url.ParseQuery(string(bytes.TrimSpace(body)))
	if err == nil {
		err = postErr
	}
	for name, values := range posted {
		form[name] = append(form[name], values...)
	}
	id := form.Get("id")
	if id == "" {
		id = form.Get("deviceid")
	}
	form.Del("id")
	form.Del("deviceid")
	return osmandRequest{id: id, form: form, shown: []byte(form.Encode()), err: err}
}
