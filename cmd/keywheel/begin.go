package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"keywheel/engine/config"
)

// newFile is the config that a beginning writes.
const newFile = "keywheel.toml"

// begin asks a person who has no configuration how to begin, and does it. True
// is that there is one now.
func begin(ctx context.Context, f *flags, none *config.NotFoundError) (bool, error) {
	fmt.Printf("%s\n\nOr begin here:\n  k  paste a key: it is tested, and %s is written\n", none, newFile)
	if none.Dotenv != "" {
		fmt.Printf("  e  use %s of %s: the keys stay there, and %s refers to them\n", strings.Join(none.Holds, ", "), none.Dotenv, newFile)
	}
	fmt.Print("anything else leaves: ")
	lines := bufio.NewReader(os.Stdin)
	way, err := lines.ReadString('\n')
	switch way = strings.TrimSpace(way); {
	case err == nil && way == "k":
		err = initialize(ctx, f, initOptions{in: os.Stdin, out: os.Stdout})
	case err == nil && way == "e" && none.Dotenv != "":
		err = importInto(newFile, none.Dotenv)
	default:
		return false, exit(exitUsage) // all has been said
	}
	if err != nil {
		return false, err
	}
	fmt.Print("\nEnter opens the monitor: ")
	_, err = lines.ReadString('\n')
	return err == nil, err
}

// importInto writes a config that takes its keys from a .env file.
func importInto(path, dotenv string) error {
	text, err := config.Import([]string{dotenv}, isReadAnyway)
	if err == nil {
		err = writeNew(path, text)
	}
	if err == nil {
		fmt.Printf("%s\nwrote %s\n", text, path)
	}
	return err
}

// isReadAnyway tells the .env file that keywheel reads without a config.
func isReadAnyway(file string) bool { return filepath.Clean(file) == ".env" }
