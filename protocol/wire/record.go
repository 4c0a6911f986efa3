package wire

// Record is one field of an extensible structure: type u16 ‖ len u24 ‖ value
// (spec §1.3). Records stand in strictly ascending order of type, so a type
// occurs at most once and a set of records has one encoding.
type Record struct {
	Type  uint16
	Value []byte
}

// MaxRecords bounds how many records one structure may hold.
const MaxRecords = 64

// Record appends one record. Records must be written in ascending order.
func (w *Writer) Record(typ uint16, value []byte) *Writer {
	return w.U16(typ).Vec24(value)
}

// Records reads all that is left as records, each value of at most limit
// bytes. Unknown types are kept: the caller decides what it understands.
func (r *Reader) Records(limit int) []Record {
	var out []Record
	last := -1
	for r.err == nil && len(r.b) > 0 {
		t := r.U16()
		v := r.Vec24(limit)
		if int(t) <= last {
			r.Fail("records out of order")
		}
		if len(out) == MaxRecords {
			r.Fail("too many records")
		}
		last = int(t)
		out = append(out, Record{Type: t, Value: v})
	}
	if r.err != nil {
		return nil
	}
	return out
}
