// One file per subcommand: add_NAME registers the command, its options and what runs (common.h
// on_run).
#pragma once

namespace CLI {
class App;
}

namespace planeloom {

void add_pull(CLI::App& app);
void add_run(CLI::App& app);
void add_chat(CLI::App& app);
void add_inspect(CLI::App& app);
void add_quantize(CLI::App& app);
void add_distill(CLI::App& app);
void add_scores(CLI::App& app);
void add_perplexity(CLI::App& app);
void add_choices(CLI::App& app);
void add_export(CLI::App& app);
void add_demo(CLI::App& app);
void add_bench(CLI::App& app);

}  // namespace planeloom
