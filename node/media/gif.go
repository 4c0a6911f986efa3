package media

// cleanGIF keeps the screen, the colour tables, the pictures, their timing and
// how often they are shown (GIF89a, and Netscape's extension).
func cleanGIF(s *source, c *Cleaned) error {
	x := s.scan(0)
	head := x.bytes(13)
	c.plan.copy(0, 13)
	if err := colours(x, c, head[10]); err != nil {
		return err
	}
	for pictures := 0; ; {
		at := x.pos
		switch x.u8() {
		case 0x3b: // trailer; what follows isn't shown
			if pictures == 0 {
				return damaged("no picture in it")
			}
			c.plan.add(0x3b)
			return nil
		case 0x2c: // image descriptor
			d := x.bytes(9)
			c.plan.copy(at, 10)
			if err := colours(x, c, d[8]); err != nil {
				return err
			}
			from := x.pos
			x.u8() // code size
			subBlocks(x)
			c.plan.copy(from, x.pos-from)
			pictures++
		case 0x21: // extension
			label := x.u8()
			first := x.bytes(int(x.u8()))
			switch {
			case label == 0xf9 && len(first) == 4: // graphic control
				c.plan.copy(at, 7)
				if x.u8() != 0 {
					return damaged("a control block goes on")
				}
				c.plan.add(0)
				continue
			case label == 0xff && (string(first) == "NETSCAPE2.0" || string(first) == "ANIMEXTS1.0"):
				loop := x.bytes(int(x.u8()))
				if len(loop) == 3 && loop[0] == 1 {
					c.plan.copy(at, 14)
					c.plan.add(3, 1, loop[1], loop[2], 0)
				}
				if len(loop) == 0 {
					continue
				}
			case len(first) == 0:
				continue
			}
			subBlocks(x)
		default:
			return damaged("an unknown block")
		}
		if !x.ok {
			return damaged("it is cut off")
		}
	}
}

func colours(x *scanner, c *Cleaned, flags byte) error {
	if flags&0x80 != 0 {
		at, n := x.pos, int64(3)<<(flags&7+1)
		x.pass(nil, n)
		c.plan.copy(at, n)
	}
	if !x.ok {
		return damaged("it is cut off")
	}
	return nil
}

// subBlocks passes over blocks, each with its length in front, up to an empty
// one.
func subBlocks(x *scanner) {
	for n := x.u8(); n > 0; n = x.u8() {
		x.pass(nil, int64(n))
	}
}
