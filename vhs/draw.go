package main

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// The size of a cell in pixels, and of the margin around the screen.
const (
	cellWidth  = 10
	cellHeight = 20
	margin     = 12
	fontSize   = 16.5
)

// fontDir is where Debian's fonts-dejavu-core puts its fonts.
const fontDir = "/usr/share/fonts/truetype/dejavu/"

// palette is a calm dark theme for the 16 ANSI colours.
var palette = [16]color.RGBA{
	rgb(0x45475a), rgb(0xf38ba8), rgb(0xa6e3a1), rgb(0xf9e2af), rgb(0x89b4fa), rgb(0xcba6f7), rgb(0x94e2d5), rgb(0xbac2de),
	rgb(0x6c7086), rgb(0xf38ba8), rgb(0xa6e3a1), rgb(0xfab387), rgb(0x89b4fa), rgb(0xf5c2e7), rgb(0x94e2d5), rgb(0xffffff),
}

var (
	foreground = rgb(0xcdd6f4)
	background = rgb(0x1e1e2e)
)

func rgb(n uint32) color.RGBA {
	return color.RGBA{uint8(n >> 16), uint8(n >> 8), uint8(n), 0xff}
}

// fonts are the faces to draw with, each with what it can draw.
type fonts struct {
	plain, bold []face
}

type face struct {
	font *sfnt.Font
	face font.Face
}

func loadFonts() (*fonts, error) {
	load := func(names ...string) (list []face, err error) {
		for _, name := range names {
			text, err := os.ReadFile(fontDir + name)
			if err != nil {
				return nil, fmt.Errorf("%w (install fonts-dejavu-core)", err)
			}
			f, err := opentype.Parse(text)
			if err != nil {
				return nil, err
			}
			fc, err := opentype.NewFace(f, &opentype.FaceOptions{Size: fontSize, DPI: 72, Hinting: font.HintingFull})
			if err != nil {
				return nil, err
			}
			list = append(list, face{f, fc})
		}
		return list, nil
	}
	plain, err := load("DejaVuSansMono.ttf", "DejaVuSans.ttf")
	if err != nil {
		return nil, err
	}
	bold, err := load("DejaVuSansMono-Bold.ttf", "DejaVuSansMono.ttf", "DejaVuSans.ttf")
	return &fonts{plain, bold}, err
}

// png draws a screen into a PNG file.
func (p *painter) png(e *vt.Emulator, path string) error {
	img := p.paint(e)
	return write(path, func(file *os.File) error {
		return (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(file, img)
	})
}

// write makes a file of what is drawn into it.
func write(path string, draw func(*os.File) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := draw(file); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}

func (f *fonts) image(e *vt.Emulator) *image.RGBA {
	cols, rows := e.Width(), e.Height()
	img := image.NewRGBA(image.Rect(0, 0, cols*cellWidth+2*margin, rows*cellHeight+2*margin))
	draw.Draw(img, img.Bounds(), image.NewUniform(background), image.Point{}, draw.Src)
	for y := range rows {
		for x := 0; x < cols; x++ {
			if c := e.CellAt(x, y); c != nil {
				f.cell(img, c, margin+x*cellWidth, margin+y*cellHeight)
			}
		}
	}
	return img
}

func (f *fonts) cell(img *image.RGBA, c *uv.Cell, x, y int) {
	fg, bg := themed(c.Style.Fg, foreground), themed(c.Style.Bg, background)
	if c.Style.Attrs&uv.AttrReverse != 0 {
		fg, bg = bg, fg
	}
	if c.Style.Attrs&uv.AttrFaint != 0 {
		fg = mix(fg, bg)
	}
	width := max(c.Width, 1) * cellWidth
	if bg != background {
		draw.Draw(img, image.Rect(x, y, x+width, y+cellHeight), image.NewUniform(bg), image.Point{}, draw.Src)
	}
	if c.Style.Underline != 0 {
		draw.Draw(img, image.Rect(x, y+cellHeight-3, x+width, y+cellHeight-2), image.NewUniform(fg), image.Point{}, draw.Src)
	}
	if c.Content == "" || c.Content == " " {
		return
	}
	faces := f.plain
	if c.Style.Attrs&uv.AttrBold != 0 {
		faces = f.bold
	}
	r := []rune(c.Content)[0]
	d := font.Drawer{Dst: img, Src: image.NewUniform(fg), Dot: fixed.P(x, y+15)}
	for _, fc := range faces {
		if i, err := fc.font.GlyphIndex(nil, r); err == nil && i != 0 {
			d.Face = fc.face
			break
		}
	}
	if d.Face == nil {
		return
	}
	d.DrawString(c.Content)
}

// themed gives a terminal colour its place in the palette.
func themed(c color.Color, none color.RGBA) color.RGBA {
	switch c := c.(type) {
	case nil:
		return none
	case ansi.BasicColor:
		return palette[c&15]
	case ansi.IndexedColor:
		if c < 16 {
			return palette[c]
		}
	}
	r, g, b, _ := c.RGBA()
	return color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 0xff}
}

func mix(a, b color.RGBA) color.RGBA {
	return color.RGBA{a.R/2 + b.R/2, a.G/2 + b.G/2, a.B/2 + b.B/2, 0xff}
}
