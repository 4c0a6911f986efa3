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
	r.Header.Set("Authorization", "Bearer "+os.Getenv("RUSHLIGHT_TOKEN"))
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil || res.StatusCode >= 300 {
		log.Fatal("the daemon doesn't answer, or refuses: ", err)
	}
	return res
}

func main() {
	events := bufio.NewScanner(call("GET", "/api/v1/events?after="+os.Getenv("RUSHLIGHT_AFTER"), "").Body)
	events.Buffer(nil, 1<<20)
	for events.Scan() {
		data, _ := strings.CutPrefix(events.Text(), "data: ")
		var e struct{ Message map[string]any }
		if json.Unmarshal([]byte(data), &e) != nil || e.Message["kind"] != "text" || e.Message["mine"] == true {
			continue
		}
		// The key keeps a message that comes again from being answered again.
		b, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "send", "params": map[string]any{
			"recipient": e.Message["from"], "message": e.Message["text"], "idempotencyKey": e.Message["id"]}})
		call("POST", "/api/v1/rpc", string(b)).Body.Close()
	}
}
