package tui

import (
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"keywheel/engine/client"
)

// showClient opens what to set in the client of the selected service: on this
// machine, and with ? in a container. y copies the text.
func showClient(m *Model) tea.Cmd {
	name := m.service()
	if s := m.subjectService(); s != nil {
		name = s.Name
	}
	docker := false
	d := &dialog{title: "The client of " + name, note: "y copies · ? in a container"}
	d.body = func(st *state) []para { return st.clientParas(name, docker) }
	d.copies = func(st *state) string { return st.clientText(name, docker) }
	d.again = func() {
		docker, d.offset = !docker, 0
		d.note = "y copies · " + pick(docker, "? on this machine", "? in a container")
	}
	m.open(d)
	return nil
}

// clientParts are the texts to paste, nil if the service has gone.
func (st *state) clientParts(name string, docker bool) (parts []client.Part, notes []string) {
	s := st.scene.byName[name]
	if s == nil {
		return nil, nil
	}
	e := client.Of(st.scene.snap, *s.ServiceStatus, docker)
	if docker {
		return e.Parts(), e.Notes
	}
	var b strings.Builder
	for _, v := range e.Variables {
		b.WriteString(v.Line(false) + "\n")
	}
	return []client.Part{{Name: "variables", Where: "the client's environment", Text: b.String()}}, e.Notes
}

func (st *state) clientText(name string, docker bool) string {
	var b strings.Builder
	parts, _ := st.clientParts(name, docker)
	for _, p := range parts {
		b.WriteString("# " + p.Where + "\n" + p.Text + "\n")
	}
	return b.String()
}

func (st *state) clientParas(name string, docker bool) []para {
	parts, notes := st.clientParts(name, docker)
	if parts == nil {
		return []para{line(say(grey, "The service is no longer in the config."))}
	}
	var paras []para
	for _, n := range notes {
		paras = append(paras, line(say(yellow, "! "+n)))
	}
	for _, p := range parts {
		paras = append(paras, line(say(bold, p.Where)))
		for text := range strings.Lines(p.Text) {
			paras = append(paras, line(say(plain, "  "+strings.TrimRight(text, "\n"))))
		}
		paras = append(paras, line())
	}
	cli := "keywheel env " + name + pick(docker, " --docker", "")
	return append(paras, fact("the same", say(plain, cli)),
		fact("a new key", say(plain, "X moves the service to one, x gives a key a new secret: typed unseen, tested first")),
		fact("a service", say(plain, "o opens the config, which keywheel reads again and never writes")),
		fact("a .env", say(plain, "keywheel import FILE... prints the lines for the config: secrets stay where they are")))
}
