package tui

// zoneKind is what a click in a zone means.
type zoneKind uint8

const (
	zonePane   zoneKind = iota // a pane
	zoneRow                    // name: the row's
	zoneHead                   // name: the column's heading
	zoneHint                   // name: the key to press
	zoneOption                 // name: the key that picks it
	zoneDialog                 // within a dialog
)

// zone is a part of the frame that answers to the mouse.
type zone struct {
	box
	kind zoneKind
	pane paneID
	name string
}

func (c *canvas) zone(z zone) { c.zones = append(c.zones, z) }

// zoneAt returns the zone drawn last at a cell.
func (c *canvas) zoneAt(x, y int) (zone, bool) {
	for i := len(c.zones) - 1; i >= 0; i-- {
		if c.zones[i].contains(x, y) {
			return c.zones[i], true
		}
	}
	return zone{}, false
}
