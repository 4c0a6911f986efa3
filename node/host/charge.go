package host

// Charge adds what another host of the same device has carried, and spent on
// upkeep, to this host's account. It is called once, when the other is about to
// close.
func (h *Host) Charge(o *Host) {
	h.meter.in.Add(o.meter.in.Load())
	h.meter.out.Add(o.meter.out.Load())
	h.meter.spend(o.meter.upkeep.Load())
}
