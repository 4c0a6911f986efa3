package api

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// OpenRPC is the description of the method table in the OpenRPC format, made
// from the types that the methods use.
func (s *Server) OpenRPC() ([]byte, error) {
	d := describer{defs: map[string]schema{}}
	type param struct {
		Name     string `json:"name"`
		Required bool   `json:"required"`
		Schema   schema `json:"schema"`
	}
	type result struct {
		Name   string `json:"name"`
		Schema schema `json:"schema"`
	}
	type methodObject struct {
		Name      string   `json:"name"`
		Summary   string   `json:"summary"`
		Structure string   `json:"paramStructure"`
		Params    []param  `json:"params"`
		Result    result   `json:"result"`
		Scopes    []string `json:"x-scopes"` // of tokens that may call it
	}
	var methods []methodObject
	for _, name := range slices.Sorted(maps.Keys(table)) {
		m := table[name]
		o := methodObject{
			Name: name, Summary: m.does, Structure: "by-name", Params: []param{},
			Result: result{"result", d.of(reflect.TypeOf(m.result))}, Scopes: m.may.scopes(),
		}
		for f := range fields(reflect.TypeOf(m.params)) {
			o.Params = append(o.Params, param{f.name, f.required, d.of(f.kind)})
		}
		methods = append(methods, o)
	}
	event, failure := d.of(reflect.TypeFor[Event]()), d.of(reflect.TypeFor[Error]())
	received := d.of(reflect.TypeFor[Received]())
	return json.MarshalIndent(map[string]any{
		"openrpc": "1.3.2",
		"info": map[string]string{
			"title": "Rushlight", "version": s.Version,
			"description": "What a running profile understands, on every door.",
		},
		"methods":         methods,
		"components":      map[string]any{"schemas": d.defs},
		"x-notifications": map[string]any{"event": event, "watchEnded": failure, "receive": received},
		"x-error-data":    failure,
	}, "", " ")
}

func (m may) scopes() []string {
	out := []string{ScopeAdmin}
	if m&reads != 0 {
		out = append(out, ScopeRead)
	}
	if m&sends != 0 {
		out = append(out, ScopeSend)
	}
	if m&alone != 0 {
		out = append(out, "conversation")
	}
	return out
}

// schema is a JSON Schema.
type schema map[string]any

// describer makes schemas; types with a name are described once.
type describer struct{ defs map[string]schema }

var (
	text     = schema{"type": "string"}
	moment   = schema{"type": []string{"string", "null"}, "format": "date-time"}
	span     = schema{"type": []string{"string", "number", "null"}, "description": "such as 30s, 5m, 12h, 7d or 2w; a number is seconds"}
	lifetime = schema{"type": []string{"string", "number"}, "description": "such as 30s or 7d, or off; a number is seconds"}
	oneOrAll = schema{"oneOf": []schema{text, {"type": "array", "items": text}, {"type": "null"}}}

	anyTimes = schema{"oneOf": []schema{{"type": "integer"}, {"type": "array", "items": schema{"type": "integer"}}, {"type": "null"}}}

	special = map[reflect.Type]schema{
		reflect.TypeFor[Time]():           moment,
		reflect.TypeFor[Duration]():       span,
		reflect.TypeFor[Timer]():          lifetime,
		reflect.TypeFor[[]byte]():         {"type": "string", "contentEncoding": "base64"},
		reflect.TypeFor[NullString]():     {"type": []string{"string", "null"}},
		reflect.TypeFor[OneOrMany]():      oneOrAll,
		reflect.TypeFor[OneOrManyTimes](): anyTimes,
	}
)

func (d *describer) of(t reflect.Type) schema {
	if s, ok := special[t]; ok {
		return s
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schema{"oneOf": []schema{d.of(t.Elem()), {"type": "null"}}}
	case reflect.Slice:
		return schema{"type": "array", "items": d.of(t.Elem())}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": d.of(t.Elem())}
	case reflect.Struct:
		return d.object(t)
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Float64:
		return schema{"type": "number"}
	case reflect.String:
		return text
	default: // of the integers
		return schema{"type": "integer"}
	}
}

// object describes a struct, under its name if it is one that others know.
func (d *describer) object(t reflect.Type) schema {
	name := t.Name()
	known := name != "" && unicode.IsUpper(rune(name[0])) && !strings.Contains(name, "[")
	ref := schema{"$ref": "#/components/schemas/" + name}
	if _, done := d.defs[name]; known && done {
		return ref
	}
	if known {
		d.defs[name] = nil // it may contain itself
	}
	properties, required := map[string]schema{}, []string{}
	for f := range fields(t) {
		properties[f.name] = d.of(f.kind)
		if !f.omitted {
			required = append(required, f.name)
		}
	}
	s := schema{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
	if !known {
		return s
	}
	d.defs[name] = s
	return ref
}

// field is a member of a JSON object.
type field struct {
	name     string
	kind     reflect.Type
	required bool // as a parameter
	omitted  bool // it may be missing
}

// fields goes through the members of a struct as encoding/json sees them.
func fields(t reflect.Type) func(yield func(field) bool) {
	return func(yield func(field) bool) {
		for _, f := range reflect.VisibleFields(t) {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous || name == "-" || !f.IsExported() {
				continue
			}
			if !yield(field{name, f.Type, f.Tag.Get("rpc") == "required", strings.Contains(options, "omit")}) {
				return
			}
		}
	}
}
