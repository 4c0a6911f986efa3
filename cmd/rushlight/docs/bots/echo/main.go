// Command echo answers every message with its own text.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"strings"
)

func call(method, path, body string) *http.Response {
	r, _ := http.NewRequest(method, os.Getenv("RUSHLIGHT_URL")+path, strings.NewReader(body))
	r.Header = http.Header{"Authorization": {"Bearer " + os.Getenv("RUSHLIGHT_TOKEN")}, "Content-Type": {"application/json"}}
	res, err := http.DefaultClient.Do(r)
	if err != nil || res.StatusCode >= 300 {
		log.Fatal("no answer, or a refusal (the token needs the scopes read and send): ", err)
	}
	return res
}

func main() {
	stream := call("GET", "/api/v1/events?after="+os.Getenv("RUSHLIGHT_AFTER"), "")
	defer stream.Body.Close()
	events := bufio.NewScanner(stream.Body)
	events.Buffer(nil, 1<<20)
	for events.Scan() {
		data, _ := strings.CutPrefix(events.Text(), "data: ")
		var e struct{ Message map[string]any }
		if json.Unmarshal([]byte(data), &e) != nil || e.Message["kind"] != "text" || e.Message["mine"] == true {
			continue
		}
		// The key keeps a message that comes again from being answered again.
		params := map[string]any{"recipient": e.Message["from"], "message": e.Message["text"], "idempotencyKey": e.Message["id"]}
		b, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "send", "params": params})
		call("POST", "/api/v1/rpc", string(b)).Body.Close()
	}
}
