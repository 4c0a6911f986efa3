package api

import (
	"context"

	"rsc.io/qr"
)

// maxQR bounds what is drawn as a QR code, in bytes.
const maxQR = 2048

// QR is a QR code: a string of 0 and 1 a row, 1 is dark, without a margin.
type QR struct {
	Rows List[string] `json:"rows"`
}

// Recovery is the code that a new profile shows once.
type Recovery struct {
	Code string `json:"code"`
}

type qrParams struct {
	Text string `json:"text"`
}

type recoveryParams struct {
	Confirmed bool `json:"confirmed"`
}

type setNameParams struct {
	Name string `json:"name"`
}

func (c *conn) qr(_ context.Context, params []byte) (any, error) {
	var p qrParams
	if err := decode(params, &p); err != nil {
		return nil, err
	}
	if p.Text == "" || len(p.Text) > maxQR {
		return nil, Errorf(CodeUsage, "a QR code holds 1 to %d bytes", maxQR)
	}
	code, err := qr.Encode(p.Text, qr.L)
	if err != nil {
		return nil, Errorf(CodeUsage, "the text is too long for a QR code")
	}
	var out QR
	for y := range code.Size {
		row := make([]byte, code.Size)
		for x := range row {
			if row[x] = '0'; code.Black(x, y) {
				row[x] = '1'
			}
		}
		out.Rows = append(out.Rows, string(row))
	}
	return out, nil
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
