"""Trainings as processes of their own, with one folder between them and us.

A run is a model folder that has a history. Whoever starts it (the page or a
terminal) writes the folder and a trainer process works on it; everything else
goes through files, so a closed tab, a reload or a restart of the page loses
nothing, and each can watch and stop what the other began:

    lock            held by the living trainer; free and not ended: it died
    stop            asks the trainer to finish its step, validate, save and end
    learning_rate   a factor that the trainer applies from its next step on
    .queue/         tickets, first come first served, each with a held lock

`writer` has texts written in another process still, and keeps what visitors may ask
for at once.

May import: model, text and below. Touches files, processes and the clock; never
the network. Nothing here imports TensorFlow: the trainer does, in its turn.
"""
