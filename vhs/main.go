// Vhs plays VHS tapes of the monitor where VHS itself cannot be installed, and
// draws the pictures that the README shows:
//
//	go build -o /tmp/keywheel ./cmd/keywheel
//	PATH=/tmp:$PATH go run ./vhs vhs/*.tape
//
// The tapes are real ones: `vhs vhs/revoked.tape` plays them too.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./vhs TAPE...")
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "vhs:", err)
		os.Exit(1)
	}
}

func run(paths []string) error {
	f, err := loadFonts()
	if err != nil {
		return err
	}
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		t, err := parse(file)
		_ = file.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		p := &player{fonts: f}
		if err := p.play(t, []string{"HOME=" + os.Getenv("HOME")}); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}
