package files

import "io"

// intake is a file that is sealed, of which no message tells yet.
type intake struct {
	io.Reader
	name string
	p    *progress
}

func (i *intake) Read(b []byte) (int, error) {
	n, err := i.Reader.Read(b)
	i.p.came(n)
	i.p.set(min(i.p.have()+uint64(n), i.p.size))
	return n, err
}

// takingIn measures how r is read, until done is called.
func (m *Manager) takingIn(name string, size int64, r io.Reader) (_ io.Reader, done func()) {
	i := &intake{r, name, newProgress(uint64(max(size, 0)))}
	i.p.start(0)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.intakes[i] = struct{}{}
	return i, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.intakes, i)
	}
}

// Intakes lists the files that are sealed to be sent. No message has them yet,
// and those who follow the transfers aren't told of them.
func (m *Manager) Intakes() (out []Transfer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.intakes {
		t := Transfer{Out: true, Name: i.name, Size: i.p.size, State: Preparing}
		t.Have, t.Rate, t.Left = i.p.now()
		out = append(out, t)
	}
	return out
}
