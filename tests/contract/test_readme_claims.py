"""Every claim of README.md has a test that proves it.

`CLAIMS` maps each sentence of the README to tests, as `module::function`.
"""

import pytest

from tests.support.claims import claims_in, has_test
from tests.support.docs_pages import README, read

CLAIMS: dict[str, tuple[str, ...]] = {
    # What it is
    "An MCP server that gives the agent you already use one tool per [Blaxel](https://blaxel.ai) model API: a second "
    "opinion from another model, an embedding, a picture, a classifier you trained.": (
        "server/test_server::test_each_configured_model_has_a_tool_and_the_built_in_tools_follow",
        "catalog/test_discovered_tools::test_every_model_of_the_workspace_has_a_tool",
        "contract/test_docs_pages::test_a_call_of_a_page_goes_out_and_comes_back_as_it_says",
        "e2e/test_process::test_the_sdks_client_lists_and_calls_over_stdio",
    ),
    "It signs each call, sends it to your workspace's inference endpoint and returns the answer with a receipt; long "
    "answers are truncated to fit the context and kept in full.": (
        "server/test_server::test_a_request_carries_exactly_one_authentication_header_and_the_workspace",
        "server/test_server::test_a_models_tool_sends_its_arguments_as_the_body_of_its_api",
        "server/test_server::test_every_result_carries_its_receipt",
        "tools/results/test_long_answers::test_a_long_answer_is_cut_and_can_be_read_to_the_last_character",
    ),
    "When something fails, it says where the fault lies (you, this server, Blaxel, the provider or the network), what "
    "to do next, and whether it cost money.": (
        "contract/test_error_codes::test_every_code_is_reachable_and_explained_in_text_and_fields",
    ),
    # See it
    "Needs Python 3.11 or newer.": ("contract/test_docs::test_the_oldest_python_is_the_one_of_the_package",),
    "This starts an emulator of the platform on your machine, the real server as a subprocess, and a real MCP client "
    "that lists the tools and calls them; it prints every request and response.": (
        "e2e/test_demo::test_the_demo_is_a_tour_in_plain_text_when_it_is_piped",
    ),
    "On Windows the folder is `.venv\\Scripts`.": (
        "contract/test_docs::test_the_folder_of_commands_is_pythons_on_windows",
    ),
    "`blaxel-mcp playground --demo` opens a page to [try the models by hand](docs/playground.md).": (
        "e2e/test_playground::test_the_link_of_the_command_opens_the_page_and_a_signal_ends_it",
        "playground/test_page::test_a_question_is_answered_with_a_receipt_and_counted",
    ),
    # Attach it
    "`install` knows `claude-desktop`, `claude-code`, `cursor`, `vscode`, `windsurf`, `zed`, `codex`, `gemini-cli` and "
    "`cline`.": (
        "contract/test_docs::test_the_clients_of_the_readme_are_those_that_install_knows",
        "setup/install/test_install::test_a_client_gets_the_server_with_a_key_that_is_nowhere_in_its_file",
        "e2e/test_install::test_the_entry_as_it_was_written_starts_the_server",
    ),
    "It leaves the rest of the client's file as it is, keeps the old one beside it, and writes no key into it without "
    "`--with-key`.": (
        "properties/test_edited_documents::test_json_with_comments_keeps_them_and_is_restored_byte_for_byte",
        "properties/test_edited_documents::test_toml_with_our_section_keeps_all_other_data_and_is_restored_byte_for_byte",
        "setup/install/test_install::test_comments_order_digits_tabs_and_line_ends_stay_byte_for_byte",
        "setup/install/test_install::test_each_change_keeps_the_file_that_it_found_with_its_mode",
        "setup/install/test_install::test_a_client_gets_the_server_with_a_key_that_is_nowhere_in_its_file",
        "setup/install/test_install::test_with_key_writes_the_key_says_so_and_prints_it_nowhere",
    ),
    "Each model in the workspace is now a tool.": (
        "contract/test_docs::test_the_json_to_paste_is_json_and_its_variables_are_settings",
        "catalog/test_discovered_tools::test_every_model_of_the_workspace_has_a_tool",
    ),
    "`blaxel-mcp doctor` checks the whole set-up; every failed check comes with a fix.": (
        "e2e/test_doctor::test_a_healthy_setup_passes_every_check",
        "e2e/test_doctor::test_people_see_each_result_with_its_fix_and_the_failures_once_more",
        "setup/doctor/test_doctor::test_settings_that_cannot_be_used_are_the_one_failure",
        "setup/doctor/test_doctor::test_without_credentials_the_fix_names_the_ways_to_give_them",
        "setup/doctor/test_doctor::test_a_wrong_key_fails_where_it_is_refused_and_is_told_by_its_place",
        "setup/doctor/test_doctor::test_a_clock_that_is_off_is_told_with_the_command_that_sets_it",
        "setup/doctor/test_doctor::test_a_host_that_refuses_connections_is_named_with_the_setting",
        "setup/doctor/test_doctor::test_certificates_that_are_not_there_are_told_by_their_variable",
        "setup/doctor/test_doctor::test_a_model_that_there_is_not_ends_in_the_nearest_name_and_the_place_of_its_entry",
        "setup/doctor/test_doctor::test_a_broken_ledger_ends_in_the_command_that_makes_room_for_a_new_one",
        "e2e/test_doctor_clients::test_a_broken_entry_fails_with_the_command_that_rewrites_it",
    ),
    'To try a client without an account, give it `"args": ["serve", "--demo"]` and no `env`.': (
        "e2e/test_process::test_with_demo_it_serves_an_emulated_workspace_and_needs_no_settings",
    ),
    # Ask a model yourself
    "A terminal gets the text as it is written, then its tokens, cost and time; a pipe gets the text only.": (
        "e2e/test_commands::test_a_question_on_a_terminal_gets_text_and_a_line_with_its_cost",
        "cli/test_asking::test_a_question_gets_the_text_of_the_answer_alone",
    ),
    "The models named here are the emulator's: add `--demo`, or name your own.": (
        "contract/test_docs::test_the_models_to_try_are_the_emulators",
    ),
    # Configure
    "Nothing has to be configured: without `[[models]]`, the workspace's models are listed, a tool is made of each, 30 "
    "at most, and clients are notified when the list changes.": (
        "catalog/test_discovered_tools::test_every_model_of_the_workspace_has_a_tool",
        "catalog/test_discovered_tools::test_what_does_not_fit_stays_reachable_and_is_named",
        "contract/test_config_example::test_the_example_file_shows_the_default_where_there_is_one",
        "contract/test_docs::test_the_readme_states_the_default_of_max_tools",
        "e2e/test_tool_changes::test_a_client_of_the_handshake_era_is_notified_of_a_new_model",
        "e2e/test_tool_changes::test_a_client_of_2026_is_notified_of_a_new_model_on_the_stream_it_listens_on",
    ),
    "A settings file, `~/.config/blaxel-mcp/config.toml` on Linux, chooses and shapes the tools; it may be "
    "edited while the server runs.": (
        "contract/test_docs::test_the_readme_states_the_default_settings_file",
        "contract/test_docs::test_the_settings_in_the_readme_load_and_make_the_tools_that_it_says",
        "settings/test_model_settings::test_name_title_and_description_are_what_the_settings_say",
        "settings/test_model_settings::test_defaults_fill_in_what_the_caller_leaves_out",
        "settings/test_model_settings::test_a_locked_field_is_not_offered_and_cannot_be_changed",
        "settings/test_model_settings::test_run_model_is_no_way_around_a_lock",
        "server/test_reload::test_a_model_that_is_added_to_the_file_becomes_a_tool_and_the_client_is_told",
        "server/test_reload::test_an_edit_that_cannot_be_used_changes_nothing_and_is_told_until_it_is_mended",
    ),
    "The APIs are `chat-completions`, `responses`, `messages`, `generate-content`, `cohere-chat`, `embeddings`, "
    "`images`, `speech`, `transcriptions`, `rerank` and `raw`.": (
        "contract/test_docs::test_the_apis_of_the_readme_are_those_of_the_code",
        "contract/test_docs_pages::test_a_call_of_a_page_goes_out_and_comes_back_as_it_says",
    ),
    # The tools
    "| one per model | the request body of the model's API, typed, and `select`; other fields pass through | calls "
    "that model |": (
        "tools/results/test_selection::test_a_selected_text_comes_back_by_itself_and_the_whole_answer_stays_readable",
        "server/test_server::test_a_models_tool_sends_its_arguments_as_the_body_of_its_api",
        "apis/test_text_apis::test_what_the_api_itself_takes_is_accepted_and_goes_out_untouched",
        "server/test_server::test_every_tool_is_described_annotated_and_named_for_every_client",
    ),
    "| `ask_models` | `models`, `prompt`, `system`, `deadline_seconds`, `need` | asks up to 8 models at once and "
    "returns their answers side by side |": (
        "contract/test_docs::test_the_arguments_of_ask_models_are_those_of_the_code",
        "tools/test_ask_models::test_the_answers_stand_side_by_side_with_time_tokens_and_cost",
        "tools/test_ask_models::test_wrong_arguments_are_rejected_before_anything_is_sent",
        "tools/test_ask_models::test_with_enough_answers_the_other_calls_are_cancelled_upstream",
    ),
    "| `run_model` | `model`, `path`, `data`, `method`, `query`, `dry_run`, `select`, `call_key` | calls any model, at "
    "any sub-endpoint, with any JSON body |": (
        "contract/test_docs::test_the_tools_and_their_arguments_are_those_of_the_code",
        "tools/test_run_model::test_a_call_goes_to_the_model_and_path_that_it_names",
        "tools/test_run_model::test_the_body_is_sent_as_it_was_given",
        "tools/test_run_model::test_a_get_is_sent_as_a_get_without_a_body",
        "tools/test_run_model::test_query_parameters_are_added_to_those_in_the_path",
    ),
    "| `list_models` | `query`, `offset` | name, API, path, status, tool and limits of each model |": (
        "contract/test_docs::test_the_tools_and_their_arguments_are_those_of_the_code",
        "tools/test_list_models::test_a_listing_says_how_each_model_is_called_and_in_what_state_it_is",
        "tools/test_list_models::test_a_query_narrows_the_listing",
        "tools/test_list_models::test_pages_lead_from_one_to_the_next_and_to_an_end",
    ),
    "| `read_result` | `call_id`, `pointer`, `offset`, `length`, `wait_seconds` | any part of a long answer, exactly "
    "as it came; or the answer of a slow call |": (
        "contract/test_docs::test_the_tools_and_their_arguments_are_those_of_the_code",
        "tools/test_read_result::test_a_large_answer_comes_together_again_byte_for_byte",
        "tools/test_read_result::test_any_part_can_be_read",
        "inference/test_streaming::test_a_slow_call_is_handed_back_and_its_answer_fetched_later",
    ),
    "| `cancel_call` | `call_id` | stops a slow call |": (
        "contract/test_docs::test_the_tools_and_their_arguments_are_those_of_the_code",
        "inference/test_streaming::test_a_call_that_was_handed_back_can_be_stopped",
    ),
    "With `select`, a call returns only the parts of the answer that it names.": (
        "tools/results/test_selection::test_a_selected_text_comes_back_by_itself_and_the_whole_answer_stays_readable",
        "tools/results/test_selection::test_several_parts_come_back_by_pointer_with_what_selects_nothing",
        "tools/results/test_selection::test_run_model_selects_and_leaves_a_field_of_that_name_in_its_data",
    ),
    "The prompts `second_opinion`, `compare` and `illustrate` are commands in clients that show prompts.": (
        "tools/test_prompts::test_a_client_lists_the_prompts_with_what_they_need",
        "tools/test_prompts::test_a_prompt_holds_what_the_person_gave",
    ),
    'With hundreds of models, `layout = "per-api"` in `[tools]` lists one tool per API.': (
        "tools/test_layouts::test_an_apis_tool_calls_the_model_that_its_argument_names",
    ),
    # The cost
    "A call is reserved in the budget before it is sent, and settled by the usage that the provider reports.": (
        "inference/test_spending::test_calls_in_flight_together_do_not_pass_a_cap_that_has_room_for_one",
        "inference/test_spending::test_the_figures_of_answers_are_those_of_their_receipts_added_up",
    ),
    "However many clients start this server, the cap is one, and it outlives restarts and crashes.": (
        "e2e/test_spending::test_eight_processes_that_race_against_a_cap_make_as_many_calls_as_it_allows",
        "inference/test_spending::test_the_figures_outlive_the_server",
        "e2e/test_spending::test_a_call_whose_process_was_killed_counts",
    ),
    "A call that would exceed it is refused before anything is sent.": (
        "inference/test_spending::test_a_budget_is_refused_before_anything_is_sent_and_told_in_every_receipt",
    ),
    "Above `budget.ask_over_usd`, the person at the client is asked first.": (
        "tools/test_consent::test_a_person_who_agrees_gets_the_answer_and_the_receipt_says_so",
        "tools/test_consent::test_without_consent_nothing_is_sent_and_the_agent_is_told_why",
    ),
    "A model without a `price` costs what an offline price table says.": (
        "inference/test_spending::test_a_model_without_a_price_costs_what_the_table_says",
    ),
    "A call is retried only when it provably reached no model; where the model may have worked on it, the error says "
    "`billed: maybe` and leaves the decision to you, unless the model is marked `idempotent = true`.": (
        "inference/test_retry::test_only_what_nobody_worked_on_is_sent_again",
        "inference/test_retry::test_what_may_have_been_worked_on_is_sent_once",
        "inference/test_retry::test_a_model_called_idempotent_is_sent_again_after_an_ambiguous_failure",
    ),
    "`blaxel-mcp usage` prints what was used.": (
        "cli/test_usage::test_the_table_has_a_row_for_each_day_and_model_and_their_sum",
    ),
    # Security
    "A key goes in one header to the origins of `run_url` and `api_url` and to a model's own URL as Blaxel gives it; "
    "redirects are never followed.": (
        "server/test_server::test_a_request_carries_exactly_one_authentication_header_and_the_workspace",
        "inference/test_endpoint_choice::test_an_mk3_model_is_called_at_its_own_url_even_at_another_origin",
        "inference/test_endpoint_choice::test_a_forced_url_at_a_foreign_origin_gets_no_key_and_the_receipt_says_so",
        "inference/test_endpoint_choice::test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else",
    ),
    "Keys never appear in a result, a receipt, an error, a log or, without `--with-key`, a file; one that "
    "upstream echoes is removed from the answer.": (
        "e2e/test_leaks_check::test_a_test_that_leaks_a_secret_fails_with_the_place",
        "setup/install/test_install::test_a_client_gets_the_server_with_a_key_that_is_nowhere_in_its_file",
        "contract/test_failures::test_a_key_that_the_model_echoes_is_redacted",
    ),
    "A model name or path that could leave `/{workspace}/models/{model}` is refused before anything is sent, and so is "
    "a call that `[access]` forbids.": (
        "tools/test_run_model::test_a_path_that_could_leave_the_model_is_refused_before_anything_is_sent",
        "tools/test_run_model::test_a_model_name_that_could_leave_the_workspace_is_refused_before_anything_is_sent",
        "tools/test_run_model::test_what_access_does_not_allow_is_refused_before_anything_is_sent",
    ),
    "Files are read only below the folders in `files.allowed_dirs`, and an `https` URL is never fetched here.": (
        "inference/test_files::test_a_file_below_an_open_folder_is_read",
        "inference/test_files::test_a_file_outside_is_refused_in_the_same_words_as_one_that_is_missing",
        "inference/test_files::test_data_and_https_urls_need_no_setting_and_nothing_is_fetched",
        "apis/test_media_apis::test_a_recording_elsewhere_is_not_fetched",
    ),
    "Text from models and providers is data: errors are quoted, bounded, and scrubbed of anything that looks like a "
    "credential.": (
        "client/errors/test_classify::test_message_is_one_sentence_that_quotes_upstream_as_data",
        "client/errors/test_classify::test_message_is_bounded",
        "core/test_redaction::test_what_looks_like_a_credential_is_replaced",
        "core/test_redaction::test_credential_at_any_distance_from_the_cut_is_not_shown",
    ),
    # Many machines
    "`blaxel-mcp serve --transport http` serves many callers from one process, and authenticates them by token, OAuth "
    "or their own Blaxel key.": (
        "server/http/auth/test_caller_auth::test_each_of_the_tokens_lets_in_and_none_of_them_is_sent_to_blaxel",
        "server/http/auth/test_caller_auth::test_a_caller_with_a_key_of_its_own_is_served_with_it",
        "server/http/auth/test_oauth::test_a_token_of_the_issuer_lets_its_bearer_in_and_is_not_sent_to_blaxel",
    ),
    "With `[shared]`, several servers have one budget and one set of limits, and each can return the answers of the "
    "others.": (
        "replicas/test_replicas::test_a_cap_holds_over_three_replicas_behind_a_load_balancer",
        "replicas/test_limits::test_slots_hold_over_servers_and_all_calls_get_their_turn",
        "replicas/test_answers::test_a_quick_answer_of_one_server_is_read_on_another",
    ),
    "Traces, metrics and an audit file show its calls from outside; prompts and answers are in none of them unless you "
    "ask for it.": (
        "inference/test_telemetry::test_a_call_is_a_client_span_with_the_names_of_the_conventions",
        "inference/test_telemetry::test_no_span_holds_a_prompt_or_an_answer",
        "inference/test_telemetry::test_prompts_and_answers_are_in_spans_if_the_operator_asks_for_them",
        "inference/test_metrics::test_a_call_is_measured_by_the_names_of_the_conventions",
        "inference/test_metrics::test_no_caller_can_name_a_metric_s_attributes",
        "inference/test_audit::test_a_billed_call_is_a_line_of_names_and_numbers",
    ),
    "MIT license.": ("contract/test_docs::test_the_readme_names_the_license",),
}


def test_every_sentence_of_the_readme_has_its_tests() -> None:
    assert claims_in(read(README)) == list(CLAIMS)


@pytest.mark.parametrize("test", sorted({test for tests in CLAIMS.values() for test in tests}))
def test_the_tests_of_a_claim_exist(test: str) -> None:
    assert has_test(test)


def test_no_claim_is_left_without_a_test() -> None:
    assert all(CLAIMS.values())
