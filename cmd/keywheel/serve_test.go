package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestSIGHUPDoesNotEndServe(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	f := &flags{config: filepath.Join(dir, "keywheel.toml"), listen: "127.0.0.1:0", socket: filepath.Join(dir, "kw.sock"), noJournal: true}
	write(t, f.config, "[keys.a]\nprovider = \"openai\"\nsecret = \"file:key\"\n[services.ui]\nkeys = [\"a\"]\n")
	write(t, filepath.Join(dir, "key"), "sk-test-not-a-key-a\n")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	log, ended := &notes{}, make(chan error, 1)
	go func() { ended <- serve(ctx, f, slog.New(slog.NewTextHandler(log, nil))) }()
	log.await(t, "listening")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	log.await(t, "reloaded: no key and no service changed")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	log.await(t, "stopped")
}
