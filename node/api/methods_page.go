package api

import "context"

// Recovery is the code that a new profile shows once.
type Recovery struct {
	Code string `json:"code"`
}

type recoveryParams struct {
	Confirmed bool `json:"confirmed"`
}

type setNameParams struct {
	Name string `json:"name"`
}

// recovery gives the recovery code of a profile that was made since the daemon
// started, until somebody confirms that they have it.
func (c *conn) recovery(_ context.Context, params []byte) (any, error) {
	var p recoveryParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	code := ""
	if c.Recovery != nil {
		code = c.Recovery(p.Confirmed)
	}
	if code == "" {
		return nil, Errorf(CodeUsage, "the recovery code was shown already")
	}
	if p.Confirmed {
		code = ""
	}
	return Recovery{code}, nil
}

func (c *conn) setName(ctx context.Context, params []byte) (any, error) {
	var p setNameParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	return c.Daemon.SetName(ctx, p.Name)
}
