package main

import (
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"os"
	"time"

	"github.com/charmbracelet/x/vt"
)

// shades is how many steps a colour has from the background to itself: enough
// for the edges of letters.
const shades = 4

// inks are all colours of a picture: those of the theme, each also faint and
// in its shades. The first is clear: what it covers stays as it was.
var inks = func() color.Palette {
	p := color.Palette{color.RGBA{}, background}
	seen := map[color.RGBA]bool{background: true}
	for _, c := range append([]color.RGBA{foreground}, palette[:]...) {
		for _, full := range []color.RGBA{c, mix(c, background)} {
			for i := 1; i <= shades; i++ {
				if s := blend(full, background, i); !seen[s] && len(p) < 256 {
					seen[s] = true
					p = append(p, s)
				}
			}
		}
	}
	return p
}()

// blend is a colour that has i of its shades.
func blend(a, b color.RGBA, i int) color.RGBA {
	part := func(a, b uint8) uint8 { return uint8((int(a)*i + int(b)*(shades-i)) / shades) }
	return color.RGBA{part(a.R, b.R), part(a.G, b.G), part(a.B, b.B), 0xff}
}

// painter draws screens in few colours, so that their files are small.
type painter struct {
	fonts *fonts
	near  map[color.RGBA]uint8 // the inks found so far
}

func (p *painter) paint(e *vt.Emulator) *image.Paletted {
	full := p.fonts.image(e)
	img := image.NewPaletted(full.Bounds(), inks)
	if p.near == nil {
		p.near = map[color.RGBA]uint8{}
	}
	for i := range img.Pix {
		c := color.RGBA{full.Pix[4*i], full.Pix[4*i+1], full.Pix[4*i+2], 0xff}
		n, ok := p.near[c]
		if !ok {
			n = uint8(inks[1:].Index(c) + 1)
			p.near[c] = n
		}
		img.Pix[i] = n
	}
	return img
}

// film is what the screen showed while it was to be seen, for Output.
type film struct {
	painter painter
	speed   float64
	last    *image.Paletted
	shot    time.Time // when the last was taken
	gif     gif.GIF
}

// take adds the screen as it is now, as what is new in it.
func (f *film) take(e *vt.Emulator, now time.Time) {
	img := f.painter.paint(e)
	if f.last == nil {
		f.add(img)
	} else {
		f.hold(now)
		if part := news(f.last, img); part != nil {
			f.add(part)
		}
	}
	f.last, f.shot = img, now
}

func (f *film) add(part *image.Paletted) {
	f.gif.Image = append(f.gif.Image, part)
	f.gif.Delay = append(f.gif.Delay, 0)
	f.gif.Disposal = append(f.gif.Disposal, gif.DisposalNone)
}

// hold shows the last picture until now.
func (f *film) hold(now time.Time) {
	f.gif.Delay[len(f.gif.Delay)-1] += int(now.Sub(f.shot).Seconds() * 100 / f.speed)
}

// news is the part of a picture that differs from the one before, with what
// does not clear; nil is nothing.
func news(was, is *image.Paletted) *image.Paletted {
	box := image.Rectangle{}
	for y := is.Rect.Min.Y; y < is.Rect.Max.Y; y++ {
		for x := is.Rect.Min.X; x < is.Rect.Max.X; x++ {
			if is.Pix[is.PixOffset(x, y)] != was.Pix[was.PixOffset(x, y)] {
				box = box.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	if box.Empty() {
		return nil
	}
	part := image.NewPaletted(box, inks)
	draw.Draw(part, box, is, box.Min, draw.Src)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			if is.Pix[is.PixOffset(x, y)] == was.Pix[was.PixOffset(x, y)] {
				part.Pix[part.PixOffset(x, y)] = 0
			}
		}
	}
	return part
}

// pause is how long the last picture stands before it all begins again.
const pause = 3 * time.Second

func (f *film) save(path string) error {
	if f.last == nil {
		return nil
	}
	f.gif.Delay[len(f.gif.Delay)-1] += int(pause.Seconds() * 100)
	return write(path, func(file *os.File) error { return gif.EncodeAll(file, &f.gif) })
}
