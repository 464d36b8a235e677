"""The tests that need CPython, and why. All others run in Pyodide too: in Node, and in a browser.

A module, a folder, or a test, with any parameters; `*` stands for anything. In Pyodide the modules are not even imported, and the tests are deselected.
"""

from __future__ import annotations

SERVER, PROCESSES, THREADS = "a web server in the same process", "other processes", "threads"
PACKAGES = "packages that Pyodide does not have"
PIP, LONG = "pip, by which packages are installed here", "64 bits: an axis of more than 2**31 elements"
LOOP = "an event loop of its own, whose tasks it counts"
ENCODED, PORT = "a client that sees what a body is encoded by, which browsers decode", "a port at which there is no server, which browsers refuse"
REDIRECTS, CONDITIONS = "redirects that are followed one by one, and not by the browser", "conditions of HTTP, which browsers send by themselves"
HEADS, CONNECTIONS = "requests as they are sent where sizes need no HEAD", "connections that are azarr's own, and not the browser's"
DRAWING = "data that Hypothesis draws inside of a coroutine, which runs on a stack of its own here"
DISK, LIMITS = "the locks and the limits of a file system", "limits of the system"
MINUTES = "minutes there: thousands of reads, writes or answers"
SIX, RESUMED = "more than six connections to a server", "answers that are cut, of which Chromium asks for the rest"
LENGTHS = "lengths that are no numbers, which browsers overlook"
LAYERS = "what is of CPython alone: its HTTP client, its threads"
NEEDS: dict[str, str] = {
    "cli": PACKAGES,
    "stores/test_buckets.py::test_a_real_server_refuses_what_is_not_public": SERVER,
    "stores/test_buckets.py::test_a_tree_in_a_bucket_is_opened_listed_and_read": SERVER,
    "stores/test_buckets.py::test_it_is_what_http_is_otherwise": SERVER,
    "stores/test_buckets.py::test_more_keys_than_fit_on_a_page_are_listed_from_a_real_server": SERVER,
    "stores/test_folder_pages.py::test_a_hierarchy_is_walked_over_a_plain_server": THREADS,
    "stores/test_folder_pages.py::test_what_is_not_the_list_of_a_folder_is_an_error_that_says_so": THREADS,
    "stores/test_contract.py::*Test_bucket::*": SERVER,
    "stores/test_contract.py::*Test_cloud::*": PACKAGES,
    "stores/test_contract.py::*Test_fsspec_http::*": PACKAGES,
    "stores/test_contract.py::*Test_fsspec_local::*": PACKAGES,
    "stores/test_contract.py::*Test_fsspec_memory::*": PACKAGES,
    "stores/test_contract.py::*Test_obstore_local::*": PACKAGES,
    "stores/test_contract.py::*Test_obstore_memory::*": PACKAGES,
    "stores/test_fsspec.py": PACKAGES,
    "stores/test_http.py::test_content_encoding_is_refused": ENCODED,
    "stores/test_http.py::test_body_shorter_than_announced_is_refused_wherever_it_is_cut": MINUTES,
    "stores/test_http.py::test_answer_that_is_not_http_is_a_transport_error[*no length]": LENGTHS,
    "stores/test_http.py::test_connection_refused_is_a_transport_error": PORT,
    "stores/test_http.py::test_secrets_of_a_url_are_in_no_error[*cut]": RESUMED,
    "stores/test_http.py::test_secrets_of_a_url_are_in_no_error_without_a_server": PORT,
    "stores/test_local.py::test_a_folder_that_is_made_again_is_read": DISK,
    "stores/test_local.py::test_a_lock_ends_with_its_block_in_forked_processes_too": DISK,
    "stores/test_local.py::test_key_too_long_for_the_system_is_an_error_not_missing": DISK,
    "stores/test_local.py::test_what_dead_writers_left_is_gone_once_a_node_is_opened_to_be_written_to": DISK,
    "stores/test_local.py::test_write_that_fails_half_way_leaves_the_old_object_and_nothing_else": DISK,
    "stores/test_objects.py": PACKAGES,
    "stores/test_zip.py::test_of_damaged_archives_nothing_wrong_is_read": MINUTES,
    "stores/test_zip.py::test_what_python_packs_is_read_as_python_reads_it[1*": MINUTES,
    "stores/test_zip.py::test_requests_at_the_server_are_two_to_open_and_one_for_a_chunk": HEADS,
    "stores/test_zip.py::test_what_azarr_makes_is_opened_by_one_request_however_many_ask": HEADS,
    "stores/test_rings.py": "io_uring of Linux",
    "stores/test_staging_rings.py": "io_uring of Linux",
    "stores/test_sources.py": PACKAGES,
    "stores/test_references.py::test_a_redirect_leads_nowhere_that_is_not_allowed": REDIRECTS,
    "test_beside_others.py::test_who_waits_for_a_loop_that_was_closed_goes_on": THREADS,
    "test_at_once.py": "the page cache of Linux",
    "test_cached.py::test_checks_and_hits_are_counted_where_the_reading_is": CONDITIONS,
    "test_cached.py::test_parts_of_a_shard_that_is_replaced_are_all_old_or_all_new": MINUTES,
    "test_cached.py::test_parts_that_are_checked_and_the_same_cost_one_round_of_requests_without_bodies": CONDITIONS,
    "test_cached.py::test_what_is_on_disk_is_there_for_the_next_cache_which_checks_it_or_does_not": CONDITIONS,
    "test_cached.py::test_with_open_each_object_is_checked_once_after_each_opening_and_does_not_come_again": CONDITIONS,
    "test_cached.py::test_with_seconds_an_answer_is_checked_when_it_is_that_old": CONDITIONS,
    "test_cached.py::test_with_true_each_read_checks_and_nothing_comes_again": CONDITIONS,
    "test_budget.py::test_429_and_503_halve_what_is_sent_at_once_and_other_statuses_do_not": SIX,
    "test_budget.py::test_a_server_that_is_overloaded_gets_fewer_requests_until_it_goes_well_again": "a server that is slower than who asks",
    "test_cancelled_requests.py": CONNECTIONS,
    "test_clouds.py": PROCESSES,
    "test_changes.py::test_shapes_one_after_the_other_equal_numpy": DRAWING,
    "test_chunk_cache.py::test_an_old_chunk_that_a_thread_read_before_a_write_is_not_kept": THREADS,
    "test_copy.py::test_a_copy_of_2_gib_with_new_chunks_takes_less_than_300_mib": PROCESSES,
    "test_copy.py::test_a_killed_copy_run_again_finishes_and_verifies": PROCESSES,
    "test_disagreements.py::test_rectilinear_run_of_2_to_the_40_is_refused_where_memory_is_not_enough": LIMITS,
    "test_copy.py::test_codecs_that_the_other_format_has_not_become_zstd": PACKAGES,
    "test_copy.py::test_the_copy_has_the_same_elements_whatever_the_layouts": DRAWING,
    "test_disagreements.py::test_rectilinear_run_of_2_to_the_40_is_not_expanded_into_blocks": LONG,
    "test_disagreements.py::test_rectilinear_run_of_2_to_the_40_is_refused_where_it_would_be_expanded": LONG,
    "test_disagreements.py::test_rectilinear_run_of_2_to_the_40_stays_symbolic": LONG,
    "test_docs.py": SERVER,
    "test_engine.py::test_100_000_chunks_of_a_blocking_store_make_no_task_each": LOOP,
    "test_engine.py::test_100_000_chunks_of_a_waiting_store_make_no_task_each": LOOP,
    "test_engine.py::test_cancelled_read_ends_all_its_workers": THREADS,
    "test_engine.py::test_cancelled_read_of_a_blocking_store_returns_when_no_worker_is_reading": THREADS,
    "test_engine.py::test_error_of_one_worker_is_raised_when_the_others_have_ended": THREADS,
    "test_engine.py::test_first_error_of_a_blocking_store_stops_the_other_workers_and_comes_bare": THREADS,
    "test_engine.py::test_large_chunks_of_a_waiting_store_are_decoded_off_the_loop": THREADS,
    "test_engine.py::test_no_chunk_of_a_blocking_store_is_decoded_on_the_loop": THREADS,
    "test_engine.py::test_nothing_blocks_the_loop_on_a_local_disk": PROCESSES,
    "test_engine.py::test_nothing_blocks_the_loop_over_http": PROCESSES,
    "test_engine.py::test_read_cancelled_while_it_decodes_returns_when_nothing_is_decoded_any_more": THREADS,
    "test_engine.py::test_read_of_16_384_chunks_of_32_kib_holds_less_than_5_mb_for_its_plan": MINUTES,
    "test_engine.py::test_read_of_as_many_inner_chunks_holds_less_than_5_mb_for_its_plan": MINUTES,
    "test_engine.py::test_several_workers_read_what_one_reads": THREADS,
    "test_engine.py::test_the_detector_hears_a_blocking_call": PROCESSES,
    "test_engine.py::test_nothing_blocks_the_loop_where_a_cache_forgets_what_it_has_on_disk": PROCESSES,
    "test_engine.py::test_plan_of_a_read_costs_nothing_however_many_chunks": LONG,
    "test_faults.py": MINUTES,
    "test_house.py::test_codecs_are_imported_at_first_use": PROCESSES,
    "test_house.py::test_import_loads_nothing_beyond_numpy_and_the_standard_library": PROCESSES,
    "test_http_client.py": LAYERS,
    "test_lifecycle.py": THREADS,
    "test_many_objects.py": LAYERS,
    "test_many_shards.py": LAYERS,
    "test_network_memory.py": PROCESSES,
    "test_network_replaced.py": MINUTES,
    "test_processes.py": PROCESSES,
    "test_progress.py::test_ipython_itself_shows_one_bar_and_updates_it": PROCESSES,
    "test_progress.py::test_an_error_ends_the_drawing_and_is_raised": THREADS,
    "test_progress.py::test_in_a_terminal_it_is_drawn_by_rich": THREADS,
    "test_progress.py::test_ipython_in_a_terminal_is_a_terminal": THREADS,
    "test_redirects.py::test_a_loop_ends": REDIRECTS,
    "test_redirects.py::test_a_password_that_a_redirect_names_is_not_sent": REDIRECTS,
    "test_redirects.py::test_a_redirect_to_nowhere_is_an_error_of_that_status": REDIRECTS,
    "test_redirects.py::test_an_array_behind_redirects_is_read_with_its_shards_and_versions": REDIRECTS,
    "test_redirects.py::test_another_host_at_the_same_port_is_another_origin": REDIRECTS,
    "test_redirects.py::test_errors_of_redirects_tell_no_secret": REDIRECTS,
    "test_redirects.py::test_headers_and_auth_do_not_go_to_another_origin_and_do_not_come_back": REDIRECTS,
    "test_redirects.py::test_headers_and_auth_stay_at_the_same_origin": REDIRECTS,
    "test_redirects.py::test_ten_redirects_are_followed_and_eleven_are_not": REDIRECTS,
    "test_redirects.py::test_what_is_no_place_of_http_is_not_followed": REDIRECTS,
    "test_requests.py::test_a_server_that_cannot_count_from_the_end_is_asked_for_the_size_once_more_for_each_shard": HEADS,
    "test_requests.py::test_a_server_without_ranges_is_asked_for_whole_shards": HEADS,
    "test_secrets.py": PROCESSES,
    "test_seeing.py::test_each_task_has_its_spans_below_its_own": THREADS,
    "test_seeing.py::test_no_secret_is_in_a_counter_event_or_span": THREADS,
    "test_seeing.py::test_spans_are_below_the_span_of_the_user": THREADS,
    "test_seeing.py::test_spans_of_what_failed_have_the_status_of_an_error": THREADS,
    "test_seeing.py::test_spans_say_what_was_asked_for": THREADS,
    "test_service.py": PROCESSES,
    "test_verify.py::*[2]": PACKAGES,
    "test_verify.py::test_each_flipped_bit_of_what_has_a_checksum_is_found": MINUTES,
    "test_writing.py::test_overlapping_writes_equal_some_order_of_them": MINUTES,
    "test_writing.py::test_what_is_written_is_what_numpy_would_hold": DRAWING,
    "unit/codecs/test_blosc.py::*[no libblosc2*": PACKAGES,
    "unit/codecs/test_blosc.py::*odd]": PACKAGES,
    "unit/codecs/test_blosc.py::*snappy*": PACKAGES,
    "unit/codecs/test_blosc.py::test_bitshuffled_chunks_whose_last_bytes_are_no_whole_element_are_read_right": PACKAGES,
    "unit/codecs/test_blosc.py::test_libblosc2_is_not_asked_for_such_chunks": PACKAGES,
    "unit/codecs/test_blosc.py::test_what_is_not_installed_is_named_with_the_line_that_installs_it": PIP,
    "unit/codecs/test_crc32c.py::test_what_is_not_installed_is_named_with_the_line_that_installs_it": PIP,
    "unit/codecs/test_foreign.py": PACKAGES,
    "unit/codecs/test_pipeline.py::test_filters_of_v2_may_make_a_chunk_longer_before_it_is_compressed": PACKAGES,
    "unit/codecs/test_pipeline.py::test_what_any_chain_encodes_it_decodes": PACKAGES,
    "unit/codecs/test_registry.py::test_a_package_that_is_not_installed_is_named_with_the_line_that_installs_it": PIP,
    "unit/codecs/test_streams.py::test_a_python_that_lacks_a_module_is_named": PIP,
    "unit/codecs/test_streams_zstd.py::test_what_is_not_installed_is_named_with_the_line_that_installs_it": PIP,
    "unit/codecs/test_scale_offset.py::test_a_fill_value_that_is_of_no_number_of_another_filter_is_no_error": PACKAGES,
    "unit/test_creation.py::test_what_numcodecs_refuses_is_not_stored": PACKAGES,
    "unit/test_plan.py::test_blocks_are_counted_before_they_are_kept": LONG,
    "unit/test_plan.py::test_rows_of_a_long_axis_are_made_while_they_are_consumed": LONG,
    "unit/test_plan.py::test_work_is_made_while_it_is_consumed": LONG,
    "unit/codecs/test_native.py::test_the_python_code_of_blosc2_is_never_loaded": PROCESSES,
    "unit/codecs/test_registry.py::test_codecs_and_their_packages_are_imported_at_first_use": PROCESSES,
    "viewer/test_worker.py": PACKAGES,
}


def reason(name: str) -> str | None:
    """Why `name`, the id of a test or the path of a module, needs CPython; None if it does not."""
    return next((why for entry, why in NEEDS.items() if _meant(entry, name.removeprefix("tests/"))), None)


def _meant(entry: str, name: str) -> bool:
    start, *others = entry.split("*")
    if others:
        return name.startswith(start) and all(part in name for part in others) and name.endswith(others[-1])
    return name == start or name.startswith((f"{start}::", f"{start}[", f"{start}/"))
