package api

import (
	"context"
	"strings"
)

// SearchRequest asks for messages that have all words of a query.
type SearchRequest struct {
	Query string
	In    string // only in the conversation with this contact; empty is all
	Limit int    // at most so many of each conversation; 0 is all
}

// maxQuery bounds a query, in bytes of UTF-8.
const maxQuery = 1024

type searchParams struct {
	Query string `json:"query" rpc:"required"`
	In    string `json:"in"`
	Limit int    `json:"limit"`
}

type searchResult struct {
	Messages List[Message] `json:"messages"`
}

func (c *conn) search(ctx context.Context, params []byte) (any, error) {
	var p searchParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	switch {
	case strings.TrimSpace(p.Query) == "":
		return nil, Errorf(CodeUsage, "say what to search for")
	case len(p.Query) > maxQuery:
		return nil, Errorf(CodeUsage, "the query is longer than %d bytes", maxQuery)
	case p.Limit < 0:
		return nil, Errorf(CodeUsage, "the limit is negative")
	case p.In != "":
		if err := checkWho(p.In); err != nil {
			return nil, err
		}
	}
	all, err := c.Daemon.Search(ctx, SearchRequest(p))
	return searchResult{all}, err
}
