// The official Go clients, as programs use them. TestRealClients runs it
// against keywheel: it knows nothing of keywheel but the base URLs that the
// environment gives to the clients.
//
//	client work    round after round, until its input ends; no error is forgiven, not even by a retry
//	client retry   one request of each client, with the retries it makes by itself; it says "ready" and waits for a line
//	client gone    one request of each client that must fail, and what it was told
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"
)

// clients are both, made from the environment alone.
type clients struct {
	openai    openai.Client
	anthropic anthropic.Client
}

var errEmpty = errors.New("an answer without content")

// content is an error if an answer holds nothing.
func content(text string, tokens int64) error {
	if text == "" || tokens == 0 {
		return errEmpty
	}
	return nil
}

var (
	chat = openai.ChatCompletionNewParams{Model: "gpt-4o", Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Say hello.")}}

	message = anthropic.MessageNewParams{Model: "claude-test-1", MaxTokens: 200,
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Say hello."))}}
)

type step struct {
	name string
	do   func(context.Context, *clients) error
}

var steps = []step{
	{"openai chat", openaiChat},
	{"openai stream", func(ctx context.Context, c *clients) error {
		params := chat
		params.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
		stream := c.openai.Chat.Completions.NewStreaming(ctx, params)
		defer stream.Close()
		var all openai.ChatCompletionAccumulator
		for stream.Next() {
			all.AddChunk(stream.Current())
		}
		if err := stream.Err(); err != nil {
			return err
		}
		return content(all.Choices[0].Message.Content, all.Usage.TotalTokens)
	}},
	{"openai tools", func(ctx context.Context, c *clients) error {
		params := chat
		params.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{Name: "now"})}
		params.ToolChoice.OfAuto = openai.String("required")
		r, err := c.openai.Chat.Completions.New(ctx, params)
		if err != nil {
			return err
		}
		said := r.Choices[0].Message
		if len(said.ToolCalls) != 1 || said.ToolCalls[0].Function.Name != "now" {
			return fmt.Errorf("no call of the tool: %s", r.RawJSON())
		}
		params.ToolChoice = openai.ChatCompletionToolChoiceOptionUnionParam{}
		params.Messages = append(params.Messages[:1:1], said.ToParam(), openai.ToolMessage("noon", said.ToolCalls[0].ID))
		if r, err = c.openai.Chat.Completions.New(ctx, params); err != nil {
			return err
		}
		return content(r.Choices[0].Message.Content, r.Usage.TotalTokens)
	}},
	{"openai responses", func(ctx context.Context, c *clients) error {
		params := responses.ResponseNewParams{Model: "gpt-4o", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Say hello.")}}
		r, err := c.openai.Responses.New(ctx, params)
		if err != nil {
			return err
		}
		params.PreviousResponseID = openai.String(r.ID)
		if r, err = c.openai.Responses.New(ctx, params); err != nil {
			return err
		}
		return content(r.OutputText(), r.Usage.TotalTokens)
	}},
	{"openai files", func(ctx context.Context, c *clients) error {
		f, err := c.openai.Files.New(ctx, openai.FileNewParams{
			File:    openai.File(bytes.NewReader(bytes.Repeat([]byte("x"), 100_000)), "a.txt", "text/plain"),
			Purpose: openai.FilePurposeUserData,
		})
		if err != nil {
			return err
		}
		if _, err = c.openai.Files.Get(ctx, f.ID); err != nil {
			return err
		}
		_, err = c.openai.Files.Delete(ctx, f.ID)
		return err
	}},
	{"openai models", func(ctx context.Context, c *clients) error {
		_, err := c.openai.Models.List(ctx)
		return err
	}},
	{"openai abort", func(ctx context.Context, c *clients) error {
		stream := c.openai.Chat.Completions.NewStreaming(ctx, chat)
		if !stream.Next() {
			return fmt.Errorf("the stream did not begin: %w", stream.Err())
		}
		_ = stream.Close()
		var err error
		for range 1000 { // until it is not answered sooner
			early, leave := context.WithTimeout(ctx, 5*time.Millisecond)
			_, err = c.openai.Chat.Completions.New(early, chat)
			leave()
			if err != nil {
				break
			}
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("aborted, but: %v", err)
		}
		return nil
	}},
	{"anthropic message", anthropicMessage},
	{"anthropic stream", func(ctx context.Context, c *clients) error {
		all, err := streamed(c.anthropic.Messages.NewStreaming(ctx, message))
		if err != nil {
			return err
		}
		return content(all.Content[0].Text, all.Usage.OutputTokens)
	}},
	{"anthropic tools", func(ctx context.Context, c *clients) error {
		params := message
		params.Tools = []anthropic.ToolUnionParam{anthropic.ToolUnionParamOfTool(anthropic.ToolInputSchemaParam{}, "now")}
		params.ToolChoice = anthropic.ToolChoiceUnionParam{OfAny: &anthropic.ToolChoiceAnyParam{}}
		said, err := streamed(c.anthropic.Messages.NewStreaming(ctx, params))
		if err != nil {
			return err
		}
		if len(said.Content) != 1 || said.Content[0].Name != "now" {
			return fmt.Errorf("no call of the tool: %+v", said.Content)
		}
		params.ToolChoice = anthropic.ToolChoiceUnionParam{}
		params.Messages = append(params.Messages[:1:1], said.ToParam(),
			anthropic.NewUserMessage(anthropic.NewToolResultBlock(said.Content[0].ID, "noon", false)))
		r, err := c.anthropic.Messages.New(ctx, params)
		if err != nil {
			return err
		}
		return content(r.Content[0].Text, r.Usage.OutputTokens)
	}},
	{"anthropic files", func(ctx context.Context, c *clients) error {
		f, err := c.anthropic.Beta.Files.Upload(ctx, anthropic.BetaFileUploadParams{
			File: anthropic.File(strings.NewReader("hello"), "a.txt", "text/plain")})
		if err != nil {
			return err
		}
		_, err = c.anthropic.Beta.Files.GetMetadata(ctx, f.ID, anthropic.BetaFileGetMetadataParams{})
		return err
	}},
	{"anthropic abort", func(ctx context.Context, c *clients) error {
		stream := c.anthropic.Messages.NewStreaming(ctx, message)
		if !stream.Next() {
			return fmt.Errorf("the stream did not begin: %w", stream.Err())
		}
		return stream.Close()
	}},
}

func openaiChat(ctx context.Context, c *clients) error {
	r, err := c.openai.Chat.Completions.New(ctx, chat)
	if err != nil {
		return err
	}
	return content(r.Choices[0].Message.Content, r.Usage.TotalTokens)
}

func anthropicMessage(ctx context.Context, c *clients) error {
	r, err := c.anthropic.Messages.New(ctx, message)
	if err != nil {
		return err
	}
	return content(r.Content[0].Text, r.Usage.OutputTokens)
}

// streamed puts a streamed message together.
func streamed(stream interface {
	Next() bool
	Current() anthropic.MessageStreamEventUnion
	Err() error
}) (anthropic.Message, error) {
	var all anthropic.Message
	for stream.Next() {
		if err := all.Accumulate(stream.Current()); err != nil {
			return all, err
		}
	}
	if err := stream.Err(); err != nil {
		return all, err
	}
	if len(all.Content) == 0 {
		return all, errEmpty
	}
	return all, nil
}

func main() {
	ctx, mode := context.Background(), os.Args[1]
	c := &clients{openai.NewClient(), anthropic.NewClient()}
	if mode == "work" {
		c = &clients{openai.NewClient(option.WithMaxRetries(0)), anthropic.NewClient(anthropicoption.WithMaxRetries(0))}
	}
	fail := func(name string, err error) {
		fmt.Printf("failed: %s: %v\n", name, err)
		os.Exit(1)
	}
	switch mode {
	case "work":
		var over atomic.Bool
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			over.Store(true)
		}()
		for round := 1; !over.Load(); round++ {
			for _, s := range steps {
				if err := s.do(ctx, c); err != nil {
					fail(s.name, err)
				}
			}
			fmt.Println("round", round)
		}
	case "retry":
		fmt.Println("ready")
		_, _ = os.Stdin.Read(make([]byte, 1))
		var both sync.WaitGroup
		for _, do := range []func(context.Context, *clients) error{openaiChat, anthropicMessage} {
			both.Go(func() {
				if err := do(ctx, c); err != nil {
					fail("retry", err)
				}
			})
		}
		both.Wait()
	case "gone":
		err := openaiChat(ctx, c)
		var told *openai.Error
		if errors.As(err, &told) {
			err = fmt.Errorf("%w: %s", err, told.RawJSON())
		}
		fmt.Println("openai was told:", err)
		fmt.Println("anthropic was told:", anthropicMessage(ctx, c))
	}
}
