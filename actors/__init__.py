"""The concurrency runtime: one gevent hub that carries actors, lanes and futures.

It knows neither HTTP nor Backend.AI. From the bottom up:

===========================  ========================================================================================
``originals``                locks, threads and clocks below whatever was patched
``hub``, ``process``         the event loop of one session: run things on it, from any thread; exit and fork
``offload``                  native threads for what blocks
``waiting``                  how a thread or a greenlet waits for the hub without blocking anybody else
``aio``                      how an asyncio loop waits for it
``callbacks``                where users' done-callbacks run
``steps``                    what recipes yield beside requests
``future``, ``call``         what a caller holds, and what it stands for
``turn``                     actors without a stack of their own, and their mailboxes, on pykka's extension seam
``messages``, ``function``   what actors say to each other, and the actor that runs recipes
``lanes``, ``greenlets``     greenlets that do the waiting, for one call or for one stream
``sockets``, ``tls``         cooperative sockets for them
``listener``                 a listening one
``channel``, ``pipes``       bounded ways out of the hub and back: to readers of a stream, and to native threads
``slots``, ``deadlines``     limits in number and in time
``supervision``              how many crashes are too many
===========================  ========================================================================================
"""
